package records

import (
	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	recMailAccount  protowire.Number = 1
	recMailPurpose  protowire.Number = 2
	recMailProtocol protowire.Number = 3
	recMailAddress  protowire.Number = 4
	recMailCreated  protowire.Number = 5
	recMailDue      protowire.Number = 6
	recMailAttempts protowire.Number = 7
	recMailLanguage protowire.Number = 8
	recMailSource   protowire.Number = 9
	recMailAbout    protowire.Number = 10
)

// EncodeMail returns the record of a mail, without its id.
func EncodeMail(m *model.Mail, unknown []byte) []byte {
	b := appendNumber([]byte{recordFormat}, recMailAccount, m.Account)
	b = appendText(b, recMailPurpose, string(m.Purpose))
	b = appendText(b, recMailProtocol, m.Protocol)
	b = appendText(b, recMailAddress, m.Address)
	b = appendTime(b, recMailCreated, m.Created)
	b = appendTime(b, recMailDue, m.Due)
	b = appendNumber(b, recMailAttempts, uint64(max(m.Attempts, 0)))
	b = appendText(b, recMailLanguage, m.Language)
	b = appendText(b, recMailSource, m.Source)
	b = appendText(b, recMailAbout, m.About)
	return append(b, unknown...)
}

// DecodeMail decodes the record of the mail with the id. It also returns the
// fields that a newer version has added.
func DecodeMail(id uint64, record []byte) (*model.Mail, []byte, error) {
	m := &model.Mail{ID: id}
	var unknown []byte
	d := decoder{s: string(record)}
	d.format()
	for d.next() {
		switch d.num {
		case recMailAccount:
			m.Account = d.number()
		case recMailPurpose:
			m.Purpose = model.Purpose(d.text())
		case recMailProtocol:
			m.Protocol = d.text()
		case recMailAddress:
			m.Address = d.text()
		case recMailCreated:
			m.Created = d.time()
		case recMailDue:
			m.Due = d.time()
		case recMailAttempts:
			m.Attempts = int(d.number())
		case recMailLanguage:
			m.Language = d.text()
		case recMailSource:
			m.Source = d.text()
		case recMailAbout:
			m.About = d.text()
		default:
			unknown = append(unknown, d.raw()...)
		}
	}
	return m, unknown, d.err()
}
