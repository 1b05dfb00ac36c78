package badger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"google.golang.org/protobuf/encoding/protowire"
)

// Records start with the number of their format, followed by fields in the
// encoding of protocol buffers. A newer version may add fields: older versions
// ignore them when they read a record, and keep them when they write it.
//
// Never reuse a field number or change its meaning.

const recordFormat = 1

var errRecord = errors.New("record is damaged, or of a newer version")

// An account's record has the account's version and the generation of its unique
// keys between the format and the fields, so that the fields can be encoded before
// these are known.
const (
	recAccountUsername     protowire.Number = 1
	recAccountEmail        protowire.Number = 2
	recAccountPassword     protowire.Number = 3
	recAccountFlags        protowire.Number = 4
	recAccountDateJoined   protowire.Number = 5
	recAccountLastLogin    protowire.Number = 6
	recAccountGroup        protowire.Number = 7
	recAccountPermission   protowire.Number = 8
	recAccountField        protowire.Number = 9
	recAccountPendingEmail protowire.Number = 10
	recAccountKey          protowire.Number = 11
	recAccountSerial       protowire.Number = 12
	recAccountFormerKeys   protowire.Number = 13
	recAccountFormerEmail  protowire.Number = 14
	recAccountReserved     protowire.Number = 20 // 15 to 19 are free
)

const (
	recFlagActive = 1 << iota
	recFlagStaff
	recFlagSuperuser
	recFlagEmailConfirmed
	recFlagProvisional
)

const (
	recFormerEmailAddress protowire.Number = 1
	recFormerEmailChanged protowire.Number = 2
)

const (
	recFieldName    protowire.Number = 1
	recFieldText    protowire.Number = 2
	recFieldInteger protowire.Number = 3
	recFieldBoolean protowire.Number = 4
)

const (
	recKeyField    protowire.Number = 1
	recKeyValue    protowire.Number = 2
	recKeyReserved protowire.Number = 3
)

const recHoldUntil protowire.Number = 1

const (
	recFormerGeneration protowire.Number = 1
	recFormerKey        protowire.Number = 2
)

const (
	recTokenAccount protowire.Number = 1
	recTokenCreated protowire.Number = 2
	recTokenExpires protowire.Number = 3
	recTokenUsed    protowire.Number = 4
	recTokenAddress protowire.Number = 5
	recTokenAgent   protowire.Number = 6
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
)

// accountRecord is an account as it is stored.
type accountRecord struct {
	account.Account
	generation uint64
	former     []account.Key  // keys of an earlier generation
	formerGen  uint64         // that generation
	unknown    []byte         // fields of a newer version
	key        [1]account.Key // saves an allocation: most accounts have one key
}

// keysAt returns the account's unique keys in a generation.
func (r *accountRecord) keysAt(generation uint64) []account.Key {
	switch generation {
	case r.generation:
		return r.Keys
	case r.formerGen:
		return r.former
	}
	return nil
}

// appendAccountHead appends the start of an account's record, before its fields.
func appendAccountHead(b []byte, version, generation uint64) []byte {
	b = append(b, recordFormat)
	b = protowire.AppendVarint(b, version)
	return protowire.AppendVarint(b, generation)
}

// appendAccountFields appends the fields of an account.
func appendAccountFields(b []byte, a *account.Account) ([]byte, error) {
	b = appendText(b, recAccountUsername, a.Username)
	b = appendText(b, recAccountEmail, a.Email)
	b = appendText(b, recAccountPassword, a.Password)
	var flags uint64
	if a.IsActive {
		flags |= recFlagActive
	}
	if a.IsStaff {
		flags |= recFlagStaff
	}
	if a.IsSuperuser {
		flags |= recFlagSuperuser
	}
	if a.EmailConfirmed {
		flags |= recFlagEmailConfirmed
	}
	if a.Provisional {
		flags |= recFlagProvisional
	}
	b = appendNumber(b, recAccountFlags, flags)
	b = appendTime(b, recAccountDateJoined, a.DateJoined)
	b = appendTime(b, recAccountLastLogin, a.LastLogin)
	b = appendNumber(b, recAccountSerial, a.Serial)
	for _, g := range a.Groups {
		b = protowire.AppendTag(b, recAccountGroup, protowire.BytesType)
		b = protowire.AppendString(b, g)
	}
	for _, p := range a.Permissions {
		b = protowire.AppendTag(b, recAccountPermission, protowire.BytesType)
		b = protowire.AppendString(b, p)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Fields)) {
		f := appendText(nil, recFieldName, name)
		switch v := a.Fields[name].(type) {
		case nil:
		case string:
			f = protowire.AppendTag(f, recFieldText, protowire.BytesType)
			f = protowire.AppendString(f, v)
		case int64:
			f = protowire.AppendTag(f, recFieldInteger, protowire.VarintType)
			f = protowire.AppendVarint(f, protowire.EncodeZigZag(v))
		case bool:
			f = protowire.AppendTag(f, recFieldBoolean, protowire.VarintType)
			f = protowire.AppendVarint(f, protowire.EncodeBool(v))
		default:
			return nil, fmt.Errorf("field %s: a value of type %T can't be stored", name, v)
		}
		b = protowire.AppendTag(b, recAccountField, protowire.BytesType)
		b = protowire.AppendBytes(b, f)
	}
	b = appendText(b, recAccountPendingEmail, a.PendingEmail)
	for _, k := range a.Keys {
		b = protowire.AppendTag(b, recAccountKey, protowire.BytesType)
		b = protowire.AppendBytes(b, appendKey(nil, k))
	}
	for _, k := range a.Reserved {
		b = protowire.AppendTag(b, recAccountReserved, protowire.BytesType)
		b = protowire.AppendBytes(b, appendKey(nil, k))
	}
	for _, f := range a.FormerEmails {
		b = protowire.AppendTag(b, recAccountFormerEmail, protowire.BytesType)
		b = protowire.AppendBytes(b, appendTime(appendText(nil, recFormerEmailAddress, f.Address), recFormerEmailChanged, f.Changed))
	}
	return b, nil
}

// appendFormerKeys appends the keys that an account has in the current generation
// while a new one is being written.
func appendFormerKeys(b []byte, generation uint64, keys []account.Key) []byte {
	f := appendNumber(nil, recFormerGeneration, generation)
	for _, k := range keys {
		f = protowire.AppendTag(f, recFormerKey, protowire.BytesType)
		f = protowire.AppendBytes(f, appendKey(nil, k))
	}
	b = protowire.AppendTag(b, recAccountFormerKeys, protowire.BytesType)
	return protowire.AppendBytes(b, f)
}

func appendKey(b []byte, k account.Key) []byte {
	b = appendText(appendText(b, recKeyField, k.Field), recKeyValue, k.Value)
	return appendNumber(b, recKeyReserved, protowire.EncodeBool(k.Reserved))
}

// decodeAccount decodes the record of the account with the id. The strings of the
// account share one copy of the record.
func decodeAccount(id uint64, record []byte) (*accountRecord, error) {
	a := &accountRecord{Account: account.Account{ID: id}}
	a.Keys = a.key[:0]
	d := recordDecoder{s: string(record)}
	d.format()
	a.Version = d.varint()
	a.generation = d.varint()
	for d.next() {
		switch d.num {
		case recAccountUsername:
			a.Username = d.text()
		case recAccountEmail:
			a.Email = d.text()
		case recAccountPassword:
			a.Password = d.text()
		case recAccountFlags:
			flags := d.number()
			a.IsActive = flags&recFlagActive != 0
			a.IsStaff = flags&recFlagStaff != 0
			a.IsSuperuser = flags&recFlagSuperuser != 0
			a.EmailConfirmed = flags&recFlagEmailConfirmed != 0
			a.Provisional = flags&recFlagProvisional != 0
		case recAccountDateJoined:
			a.DateJoined = d.time()
		case recAccountLastLogin:
			a.LastLogin = d.time()
		case recAccountSerial:
			a.Serial = d.number()
		case recAccountGroup:
			a.Groups = append(a.Groups, d.text())
		case recAccountPermission:
			a.Permissions = append(a.Permissions, d.text())
		case recAccountField:
			if a.Fields == nil {
				a.Fields = make(map[string]any)
			}
			name, value := d.field()
			a.Fields[name] = value
		case recAccountPendingEmail:
			a.PendingEmail = d.text()
		case recAccountKey:
			a.Keys = append(a.Keys, d.key())
		case recAccountFormerKeys:
			a.formerGen, a.former = d.formerKeys()
		case recAccountFormerEmail:
			a.FormerEmails = append(a.FormerEmails, d.formerEmail())
		case recAccountReserved:
			a.Reserved = append(a.Reserved, d.key())
		default:
			a.unknown = append(a.unknown, d.raw()...)
		}
	}
	if d.bad {
		return nil, errRecord
	}
	if len(a.Keys) == 0 {
		a.Keys = nil
	}
	return a, nil
}

// appendToken appends the record of a token, without its digest.
func appendToken(b []byte, t *account.Token, unknown []byte) []byte {
	b = append(b, recordFormat)
	b = appendNumber(b, recTokenAccount, t.Account)
	b = appendTime(b, recTokenCreated, t.Created)
	b = appendTime(b, recTokenExpires, t.Expires)
	b = appendTime(b, recTokenUsed, t.Used)
	b = appendText(b, recTokenAddress, t.Address)
	b = appendText(b, recTokenAgent, t.Agent)
	return append(b, unknown...)
}

// decodeToken decodes the record of the token with the digest. It also returns
// the fields that a newer version has added.
func decodeToken(digest account.Digest, record []byte) (*account.Token, []byte, error) {
	t := &account.Token{Digest: digest}
	var unknown []byte
	d := recordDecoder{s: string(record)}
	d.format()
	for d.next() {
		switch d.num {
		case recTokenAccount:
			t.Account = d.number()
		case recTokenCreated:
			t.Created = d.time()
		case recTokenExpires:
			t.Expires = d.time()
		case recTokenUsed:
			t.Used = d.time()
		case recTokenAddress:
			t.Address = d.text()
		case recTokenAgent:
			t.Agent = d.text()
		default:
			unknown = append(unknown, d.raw()...)
		}
	}
	return t, unknown, d.err()
}

// appendMail appends the record of a mail, without its id.
func appendMail(b []byte, m *account.Mail, unknown []byte) []byte {
	b = append(b, recordFormat)
	b = appendNumber(b, recMailAccount, m.Account)
	b = appendText(b, recMailPurpose, string(m.Purpose))
	b = appendText(b, recMailProtocol, m.Protocol)
	b = appendText(b, recMailAddress, m.Address)
	b = appendTime(b, recMailCreated, m.Created)
	b = appendTime(b, recMailDue, m.Due)
	b = appendNumber(b, recMailAttempts, uint64(max(m.Attempts, 0)))
	b = appendText(b, recMailLanguage, m.Language)
	b = appendText(b, recMailSource, m.Source)
	return append(b, unknown...)
}

// decodeMail decodes the record of the mail with the id. It also returns the
// fields that a newer version has added.
func decodeMail(id uint64, record []byte) (*account.Mail, []byte, error) {
	m := &account.Mail{ID: id}
	var unknown []byte
	d := recordDecoder{s: string(record)}
	d.format()
	for d.next() {
		switch d.num {
		case recMailAccount:
			m.Account = d.number()
		case recMailPurpose:
			m.Purpose = account.Purpose(d.text())
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
		default:
			unknown = append(unknown, d.raw()...)
		}
	}
	return m, unknown, d.err()
}

// appendText appends a text field; an empty one takes no space.
func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// appendNumber appends a number; zero takes no space.
func appendNumber(b []byte, num protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, n)
}

// appendTime appends a time to the microsecond; the zero time takes no space.
func appendTime(b []byte, num protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, protowire.EncodeZigZag(t.UnixMicro()))
}

// recordDecoder decodes the fields of a record. After an error it stays bad, and
// returns zero values.
type recordDecoder struct {
	s   string // rest of the record
	all string // the record from the current field on
	num protowire.Number
	typ protowire.Type
	bad bool
}

func (d *recordDecoder) format() {
	if len(d.s) == 0 || d.s[0] != recordFormat {
		d.fail()
		return
	}
	d.s = d.s[1:]
}

func (d *recordDecoder) fail() { d.bad, d.s = true, "" }

func (d *recordDecoder) err() error {
	if d.bad {
		return errRecord
	}
	return nil
}

// next moves to the next field.
func (d *recordDecoder) next() bool {
	if d.bad || d.s == "" {
		return false
	}
	d.all = d.s
	tag := d.varint()
	d.num, d.typ = protowire.DecodeTag(tag)
	if d.num < protowire.MinValidNumber {
		d.fail()
	}
	return !d.bad
}

func (d *recordDecoder) varint() uint64 {
	var v uint64
	for i := 0; i < len(d.s) && i < 10; i++ {
		c := d.s[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.s = d.s[i+1:]
			return v
		}
	}
	d.fail()
	return 0
}

func (d *recordDecoder) number() uint64 {
	if d.typ != protowire.VarintType {
		d.fail()
		return 0
	}
	return d.varint()
}

func (d *recordDecoder) text() string {
	if d.typ != protowire.BytesType {
		d.fail()
		return ""
	}
	n := d.varint()
	if n > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *recordDecoder) time() time.Time {
	v := d.number()
	if d.bad {
		return time.Time{}
	}
	return time.UnixMicro(protowire.DecodeZigZag(v)).UTC()
}

// raw skips the current field and returns all of it.
func (d *recordDecoder) raw() string {
	n := protowire.ConsumeFieldValue(d.num, d.typ, []byte(d.s))
	if n < 0 {
		d.fail()
		return ""
	}
	d.s = d.s[n:]
	return d.all[:len(d.all)-len(d.s)]
}

// message returns a decoder for the message in the current field.
func (d *recordDecoder) message() *recordDecoder { return &recordDecoder{s: d.text(), bad: d.bad} }

// end makes d bad if the message m is.
func (d *recordDecoder) end(m *recordDecoder) {
	if m.bad {
		d.fail()
	}
}

func (d *recordDecoder) field() (name string, value any) {
	m := d.message()
	for m.next() {
		switch m.num {
		case recFieldName:
			name = m.text()
		case recFieldText:
			value = m.text()
		case recFieldInteger:
			value = protowire.DecodeZigZag(m.number())
		case recFieldBoolean:
			value = protowire.DecodeBool(m.number())
		default:
			m.raw()
		}
	}
	d.end(m)
	return name, value
}

func (d *recordDecoder) formerEmail() account.FormerEmail {
	var f account.FormerEmail
	m := d.message()
	for m.next() {
		switch m.num {
		case recFormerEmailAddress:
			f.Address = m.text()
		case recFormerEmailChanged:
			f.Changed = m.time()
		default:
			m.raw()
		}
	}
	d.end(m)
	return f
}

func (d *recordDecoder) key() account.Key {
	var k account.Key
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

func (d *recordDecoder) formerKeys() (generation uint64, keys []account.Key) {
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
