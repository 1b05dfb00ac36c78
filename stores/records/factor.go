package records

import (
	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

// The second factor of an account is a message, with the password of the account in it. The
// password's own field is unusable then: an older version, which doesn't know the factor,
// lets nobody log in by the password alone, and keeps the message.
const (
	recFactorPassword      protowire.Number = 1
	recFactorSecret        protowire.Number = 2
	recFactorStep          protowire.Number = 3
	recFactorCreated       protowire.Number = 4
	recFactorUsed          protowire.Number = 5
	recFactorRecovery      protowire.Number = 6
	recFactorPending       protowire.Number = 7
	recFactorPendingUntil  protowire.Number = 8
	recFactorPendingDigest protowire.Number = 9
)

func appendFactor(b []byte, a *model.Account) []byte {
	f := a.Factor
	if f == nil {
		return b
	}
	var m []byte
	if f.IsActive() {
		m = appendText(m, recFactorPassword, a.Password)
	}
	m = appendText(m, recFactorSecret, string(f.Secret))
	m = appendNumber(m, recFactorStep, f.Step)
	m = appendTime(m, recFactorCreated, f.Created)
	m = appendTime(m, recFactorUsed, f.Used)
	for _, d := range f.Recovery {
		m = appendDigest(m, recFactorRecovery, d)
	}
	m = appendText(m, recFactorPending, string(f.Pending))
	m = appendTime(m, recFactorPendingUntil, f.PendingUntil)
	m = appendDigest(m, recFactorPendingDigest, f.PendingFor)
	b = protowire.AppendTag(b, recAccountFactor, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}

func (d *decoder) factor() (password string, f *model.Factor) {
	f = new(model.Factor)
	m := d.message()
	for m.next() {
		switch m.num {
		case recFactorPassword:
			password = m.text()
		case recFactorSecret:
			f.Secret = []byte(m.text())
		case recFactorStep:
			f.Step = m.number()
		case recFactorCreated:
			f.Created = m.time()
		case recFactorUsed:
			f.Used = m.time()
		case recFactorRecovery:
			f.Recovery = append(f.Recovery, m.digest())
		case recFactorPending:
			f.Pending = []byte(m.text())
		case recFactorPendingUntil:
			f.PendingUntil = m.time()
		case recFactorPendingDigest:
			f.PendingFor = m.digest()
		default:
			m.raw()
		}
	}
	d.end(m)
	return password, f
}
