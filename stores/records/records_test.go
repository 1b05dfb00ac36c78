package records

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

func someAccount() *model.Account {
	return &model.Account{Identities: []model.Identity{{Provider: "google", Subject: "1", Name: "ann@example.com", Linked: time.Unix(1, 0)}}, Username: "ann", Email: "ann@example.com", IsActive: true,
		Fields: map[string]any{"n": int64(1), "s": "text"}, Keys: []model.Key{{Field: "username", Value: "ann"}}}
}

func TestDamagedRecordsAreErrors(t *testing.T) {
	a := someAccount()
	fields, err := EncodeAccountFields(a)
	if err != nil {
		t.Fatal(err)
	}
	record := EncodeAccount(1, 1, fields, nil)
	for n := range record {
		DecodeAccount(1, record[:n]) // must not panic
		for bit := range 8 {
			damaged := slices.Clone(record)
			damaged[n] ^= 1 << bit
			DecodeAccount(1, damaged)
			DecodeToken(model.Digest{}, damaged)
			DecodeMail(1, damaged)
		}
	}
	for _, record := range [][]byte{nil, {}, {recordFormat + 1}, record[:len(record)-1]} {
		if _, err := DecodeAccount(1, record); err == nil {
			t.Errorf("record %q was read", record)
		}
	}
}

func FuzzRecords(f *testing.F) {
	fields, _ := EncodeAccountFields(someAccount())
	f.Add(EncodeAccount(1, 1, fields, nil))
	f.Add(EncodeToken(&model.Token{Account: 1, Agent: "x"}, nil))
	f.Fuzz(func(t *testing.T, record []byte) {
		DecodeAccount(1, record)
		DecodeToken(model.Digest{}, record)
		DecodeMail(1, record)
		DecodeCounts(record)
	})
}
