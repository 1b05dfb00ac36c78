package django

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/caddy-djoser/djoser/model"
)

// Ids, unique fields and tokens may be in a dump only once. The check remembers their
// hashes, which are small even for millions of rows.

var hashSeed = maphash.MakeSeed()

func hashOf[T comparable](value T) uint64 { return maphash.Comparable(hashSeed, value) }

// hashedRow is the hash of a value of a row.
type hashedRow struct {
	hash uint64
	row  uint32
}

// hashes are in buckets by their first byte: a long list would be copied as a whole
// when it grows.
type hashes [256][]hashedRow

func (h *hashes) add(hash uint64, row int) {
	bucket := &h[hash>>56]
	*bucket = append(*bucket, hashedRow{hash, uint32(row)})
}

func (h *hashes) sort() {
	for _, bucket := range h {
		slices.SortFunc(bucket, func(x, y hashedRow) int {
			return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.row, y.row))
		})
	}
}

// has reports whether a hash is among the sorted hashes.
func (h *hashes) has(hash uint64) bool {
	_, found := slices.BinarySearchFunc(h[hash>>56], hash, func(x hashedRow, hash uint64) int { return cmp.Compare(x.hash, hash) })
	return found
}

// repeated returns the rows of the sorted hashes that have the hash of an earlier row,
// each with that row.
func (h *hashes) repeated() map[uint32]uint32 {
	repeated := make(map[uint32]uint32)
	for _, bucket := range h {
		for i := 1; i < len(bucket); i++ {
			if bucket[i].hash == bucket[i-1].hash {
				repeated[bucket[i].row] = bucket[i-1].row
			}
		}
	}
	return repeated
}

// uniqueValues are the unique values of the rows that the check accepts.
type uniqueValues struct {
	keys      hashes // ids and unique fields of users
	tokens    hashes // digests
	withID    bool   // there are users with an id
	withoutID []uint32
}

// remember notes the unique values of a user.
func (im *importer) remember(row *Row, acc *model.Account) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if acc.ID != 0 {
		im.unique.withID = true
		im.unique.keys.add(hashOf(idKey(acc.ID)), row.Number)
	} else {
		im.unique.withoutID = append(im.unique.withoutID, uint32(row.Number))
	}
	for _, key := range acc.Keys {
		im.unique.keys.add(hashOf(key), row.Number)
	}
}

func (im *importer) rememberToken(row *Row, digest model.Digest) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.unique.tokens.add(hashOf(digest), row.Number)
}

// endUsers refuses users that exclude an earlier one, when all have been read. It
// doesn't matter if that one is refused itself.
func (im *importer) endUsers() {
	im.usersEnded = true
	im.unique.keys.sort()
	refused := im.unique.keys.repeated()
	for _, row := range slices.Sorted(maps.Keys(refused)) {
		im.refuseLate(&im.report.Users, im.model, row, fmt.Sprintf("it has the same id or the same unique field as row %d", refused[row]))
	}
	for _, row := range im.unique.withoutID {
		if _, ok := refused[row]; im.unique.withID && !ok {
			im.refuseLate(&im.report.Users, im.model, row, "it has no primary key, but other rows have, and its new id could be one of theirs: dump all users with --natural-primary, or none")
			refused[row] = 0
		}
	}
	for _, bucket := range im.unique.keys {
		for _, key := range bucket {
			if _, ok := refused[key.row]; ok {
				im.users.refused.add(key.hash, int(key.row))
			}
		}
	}
	im.users.refused.sort()
	im.users.stored.sort()
}

// endTokens refuses duplicate tokens.
func (im *importer) endTokens() {
	im.unique.tokens.sort()
	refused := im.unique.tokens.repeated()
	for _, row := range slices.Sorted(maps.Keys(refused)) {
		im.refuseLate(&im.report.Tokens, TokenModel, row, fmt.Sprintf("it is the same token as row %d", refused[row]))
	}
}

// refuseLate refuses a row that was counted as one that can be added.
func (im *importer) refuseLate(t *Tally, model string, row uint32, text string) {
	im.list(Problem{Row: int(row), Model: model, Text: text})
	im.report.RefusedRows = append(im.report.RefusedRows, int(row))
	t.Added--
	t.Refused++
}
