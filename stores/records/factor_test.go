package records

import (
	"testing"

	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

// withoutFactor decodes the password of a record as a version does that doesn't know second
// factors, and what that version keeps.
func withoutFactor(t *testing.T, record []byte) (password string, unknown []byte) {
	t.Helper()
	d := decoder{s: string(record)}
	d.format()
	d.varint()
	d.varint()
	for d.next() {
		switch d.num {
		case recAccountPassword:
			password = d.text()
		case recAccountFactor:
			unknown = append(unknown, d.raw()...)
		default:
			d.raw()
		}
	}
	if err := d.err(); err != nil {
		t.Fatal(err)
	}
	return password, unknown
}

func TestAnOlderVersionLetsNobodyInWithoutTheFactor(t *testing.T) {
	a := &model.Account{Username: "ann", Password: "argon2$x", Factor: &model.Factor{Secret: []byte{1}}}
	fields, err := EncodeAccountFields(a)
	if err != nil {
		t.Fatal(err)
	}
	password, unknown := withoutFactor(t, EncodeAccount(1, 1, fields, nil))
	if password != "!" || len(unknown) == 0 {
		t.Fatalf("password %q, %d bytes kept", password, len(unknown))
	}
	// It writes the record back, with or without a new password.
	for written, want := range map[string]string{"!": "argon2$x", "argon2$new": "argon2$new"} {
		fields := protowire.AppendTag(nil, recAccountPassword, protowire.BytesType)
		fields = protowire.AppendString(fields, written)
		back, err := DecodeAccount(1, EncodeAccount(2, 1, fields, unknown))
		if err != nil || back.Password != want || !back.Factor.IsActive() {
			t.Errorf("%q written: %q, factor %v, %v", written, back.Password, back.Factor, err)
		}
	}
}

func TestAFactorThatIsNotSetUpLeavesThePassword(t *testing.T) {
	a := &model.Account{Username: "ann", Password: "argon2$x", Factor: &model.Factor{Pending: []byte{1}}}
	fields, err := EncodeAccountFields(a)
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := withoutFactor(t, EncodeAccount(1, 1, fields, nil)); password != "argon2$x" {
		t.Errorf("password %q", password)
	}
}
