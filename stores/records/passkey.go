package records

import (
	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	recPasskeyCredential protowire.Number = 1
	recPasskeyPublicKey  protowire.Number = 2
	recPasskeyCounter    protowire.Number = 3
	recPasskeyName       protowire.Number = 4
	recPasskeyCreated    protowire.Number = 5
	recPasskeyUsed       protowire.Number = 6
)

func appendPasskeys(b []byte, a *model.Account) []byte {
	for _, p := range a.Passkeys {
		m := appendText(nil, recPasskeyCredential, string(p.Credential))
		m = appendText(m, recPasskeyPublicKey, string(p.PublicKey))
		m = appendNumber(m, recPasskeyCounter, uint64(p.Counter))
		m = appendText(m, recPasskeyName, p.Name)
		m = appendTime(m, recPasskeyCreated, p.Created)
		m = appendTime(m, recPasskeyUsed, p.Used)
		b = protowire.AppendTag(b, recAccountPasskey, protowire.BytesType)
		b = protowire.AppendBytes(b, m)
	}
	return appendTime(b, recAccountChallenged, a.Challenged)
}

func (d *decoder) passkey() (p model.Passkey) {
	m := d.message()
	for m.next() {
		switch m.num {
		case recPasskeyCredential:
			p.Credential = []byte(m.text())
		case recPasskeyPublicKey:
			p.PublicKey = []byte(m.text())
		case recPasskeyCounter:
			p.Counter = uint32(m.number())
		case recPasskeyName:
			p.Name = m.text()
		case recPasskeyCreated:
			p.Created = m.time()
		case recPasskeyUsed:
			p.Used = m.time()
		default:
			m.raw()
		}
	}
	d.end(m)
	return p
}
