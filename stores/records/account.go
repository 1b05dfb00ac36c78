package records

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

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
	recAccountWaiting      protowire.Number = 15
	recAccountIdentity     protowire.Number = 16
	recAccountUnlinked     protowire.Number = 17
	recAccountFactor       protowire.Number = 18
	recAccountReserved     protowire.Number = 20 // 19 is free
	recAccountPasskey      protowire.Number = 21
	recAccountChallenged   protowire.Number = 22
	recAccountLanguage     protowire.Number = 23
)

const (
	recFlagActive = 1 << iota
	recFlagStaff
	recFlagSuperuser
	recFlagEmailConfirmed
	recFlagProvisional
)

// What says how a waiting account would get active is in a field of its own. An older
// version keeps the field, and takes the account for one that was deactivated.
const (
	recWaitingProvisional  protowire.Number = 1
	recWaitingPendingEmail protowire.Number = 2
)

const (
	recFormerEmailAddress protowire.Number = 1
	recFormerEmailChanged protowire.Number = 2
)

const (
	recIdentityProvider protowire.Number = 1
	recIdentitySubject  protowire.Number = 2
	recIdentityName     protowire.Number = 3
	recIdentityLinked   protowire.Number = 4
)

const (
	recFieldName    protowire.Number = 1
	recFieldText    protowire.Number = 2
	recFieldInteger protowire.Number = 3
	recFieldBoolean protowire.Number = 4
)

// Account is an account as it is stored.
type Account struct {
	model.Account
	Generation       uint64       // of its unique keys
	former           []model.Key  // keys of an earlier generation
	FormerGeneration uint64       // that generation
	Unknown          []byte       // fields of a newer version
	key              [1]model.Key // saves an allocation: most accounts have one key
}

// DecodeAccountAt decodes the record of the account with the id, with its unique keys in
// a generation.
func DecodeAccountAt(id uint64, record []byte, generation uint64) (*Account, error) {
	a, err := DecodeAccount(id, record)
	if err != nil {
		return nil, fmt.Errorf("account %d: %w", id, err)
	}
	a.Keys = a.KeysAt(generation)
	return a, nil
}

// EncodeAccount returns the record of an account: its fields, encoded, and those of a
// newer version.
func EncodeAccount(version, generation uint64, fields, unknown []byte) []byte {
	b := append(make([]byte, 0, 16+len(fields)+len(unknown)), recordFormat)
	b = protowire.AppendVarint(b, version)
	b = protowire.AppendVarint(b, generation)
	return append(append(b, fields...), unknown...)
}

// EncodeAccountFields encodes the fields of an account.
func EncodeAccountFields(a *model.Account) ([]byte, error) {
	b := appendText(nil, recAccountUsername, a.Username)
	b = appendText(b, recAccountEmail, a.Email)
	if a.Factor.IsActive() {
		b = appendText(b, recAccountPassword, "!") // see appendFactor
	} else {
		b = appendText(b, recAccountPassword, a.Password)
	}
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
	if a.Provisional && !a.Waiting {
		flags |= recFlagProvisional
	}
	b = appendNumber(b, recAccountFlags, flags)
	b = appendTime(b, recAccountDateJoined, a.DateJoined)
	b = appendTime(b, recAccountLastLogin, a.LastLogin)
	b = appendText(b, recAccountLanguage, a.Language)
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
	if a.Waiting {
		w := appendNumber(nil, recWaitingProvisional, protowire.EncodeBool(a.Provisional))
		w = appendText(w, recWaitingPendingEmail, a.PendingEmail)
		b = protowire.AppendTag(b, recAccountWaiting, protowire.BytesType)
		b = protowire.AppendBytes(b, w)
	} else {
		b = appendText(b, recAccountPendingEmail, a.PendingEmail)
	}
	b = appendPasskeys(appendFactor(b, a), a)
	for _, k := range a.Keys {
		b = protowire.AppendTag(b, recAccountKey, protowire.BytesType)
		b = protowire.AppendBytes(b, appendKey(nil, k))
	}
	for _, k := range a.Reserved {
		b = protowire.AppendTag(b, recAccountReserved, protowire.BytesType)
		b = protowire.AppendBytes(b, appendKey(nil, k))
	}
	for _, i := range a.Identities {
		m := appendText(appendText(nil, recIdentityProvider, i.Provider), recIdentitySubject, i.Subject)
		m = appendTime(appendText(m, recIdentityName, i.Name), recIdentityLinked, i.Linked)
		b = protowire.AppendTag(b, recAccountIdentity, protowire.BytesType)
		b = protowire.AppendBytes(b, m)
	}
	for _, k := range a.Unlinked {
		b = protowire.AppendTag(b, recAccountUnlinked, protowire.BytesType)
		b = protowire.AppendBytes(b, appendKey(nil, k))
	}
	for _, f := range a.FormerEmails {
		b = protowire.AppendTag(b, recAccountFormerEmail, protowire.BytesType)
		b = protowire.AppendBytes(b, appendTime(appendText(nil, recFormerEmailAddress, f.Address), recFormerEmailChanged, f.Changed))
	}
	return b, nil
}

// DecodeAccount decodes the record of the account with the id. The strings of the
// account share one copy of the record.
func DecodeAccount(id uint64, record []byte) (*Account, error) {
	a := &Account{Account: model.Account{ID: id}}
	a.Keys = a.key[:0]
	d := decoder{s: string(record)}
	var waiting *model.Account
	var factored string
	d.format()
	a.Version = d.varint()
	a.Generation = d.varint()
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
		case recAccountLanguage:
			a.Language = d.text()
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
			a.FormerGeneration, a.former = d.formerKeys()
		case recAccountFormerEmail:
			a.FormerEmails = append(a.FormerEmails, d.formerEmail())
		case recAccountWaiting:
			waiting = d.waiting()
		case recAccountIdentity:
			a.Identities = append(a.Identities, d.identity())
		case recAccountUnlinked:
			a.Unlinked = append(a.Unlinked, d.key())
		case recAccountReserved:
			a.Reserved = append(a.Reserved, d.key())
		case recAccountPasskey:
			a.Passkeys = append(a.Passkeys, d.passkey())
		case recAccountChallenged:
			a.Challenged = d.time()
		case recAccountFactor:
			factored, a.Factor = d.factor()
		default:
			a.Unknown = append(a.Unknown, d.raw()...)
		}
	}
	if d.bad {
		return nil, errRecord
	}
	if waiting != nil && !a.IsActive { // else an older version activated it
		a.Waiting, a.Provisional, a.PendingEmail = true, waiting.Provisional, waiting.PendingEmail
	}
	if factored != "" && a.Password == "!" { // else an older version has set a new one
		a.Password = factored
	}
	if len(a.Keys) == 0 {
		a.Keys = nil
	}
	return a, nil
}

func (d *decoder) field() (name string, value any) {
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

func (d *decoder) formerEmail() model.FormerEmail {
	var f model.FormerEmail
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

func (d *decoder) identity() model.Identity {
	var i model.Identity
	m := d.message()
	for m.next() {
		switch m.num {
		case recIdentityProvider:
			i.Provider = m.text()
		case recIdentitySubject:
			i.Subject = m.text()
		case recIdentityName:
			i.Name = m.text()
		case recIdentityLinked:
			i.Linked = m.time()
		default:
			m.raw()
		}
	}
	d.end(m)
	return i
}

func (d *decoder) waiting() *model.Account {
	a := new(model.Account)
	m := d.message()
	for m.next() {
		switch m.num {
		case recWaitingProvisional:
			a.Provisional = protowire.DecodeBool(m.number())
		case recWaitingPendingEmail:
			a.PendingEmail = m.text()
		default:
			m.raw()
		}
	}
	d.end(m)
	return a
}
