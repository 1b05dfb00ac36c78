package records

import (
	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	recKeyField    protowire.Number = 1
	recKeyValue    protowire.Number = 2
	recKeyReserved protowire.Number = 3
)

const (
	recFormerGeneration protowire.Number = 1
	recFormerKey        protowire.Number = 2
)

// KeysAt returns the account's unique keys in a generation.
func (r *Account) KeysAt(generation uint64) []model.Key {
	switch generation {
	case r.Generation:
		return r.Keys
	case r.FormerGeneration:
		return r.former
	}
	return nil
}

// AppendFormerKeys appends to a record the keys that an account has in the current generation
// while a new one is being written.
func AppendFormerKeys(b []byte, generation uint64, keys []model.Key) []byte {
	f := appendNumber(nil, recFormerGeneration, generation)
	for _, k := range keys {
		f = protowire.AppendTag(f, recFormerKey, protowire.BytesType)
		f = protowire.AppendBytes(f, appendKey(nil, k))
	}
	b = protowire.AppendTag(b, recAccountFormerKeys, protowire.BytesType)
	return protowire.AppendBytes(b, f)
}

func appendKey(b []byte, k model.Key) []byte {
	b = appendText(appendText(b, recKeyField, k.Field), recKeyValue, k.Value)
	return appendNumber(b, recKeyReserved, protowire.EncodeBool(k.Reserved))
}

func (d *decoder) key() model.Key {
	var k model.Key
	m := d.message()
	for m.next() {
		switch m.num {
		case recKeyField:
			k.Field = m.text()
		case recKeyValue:
			k.Value = m.text()
		case recKeyReserved:
			k.Reserved = protowire.DecodeBool(m.number())
		default:
			m.raw()
		}
	}
	d.end(m)
	return k
}

func (d *decoder) formerKeys() (generation uint64, keys []model.Key) {
	m := d.message()
	for m.next() {
		switch m.num {
		case recFormerGeneration:
			generation = m.number()
		case recFormerKey:
			keys = append(keys, m.key())
		default:
			m.raw()
		}
	}
	d.end(m)
	return generation, keys
}
