package records

import (
	"crypto/sha256"

	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	recInvitationAddress protowire.Number = 1
	recInvitationGroup   protowire.Number = 2
	recInvitationMailed  protowire.Number = 3
	recInvitationCreated protowire.Number = 4
	recInvitationExpires protowire.Number = 5
)

// InvitationKey returns the key of the invitation of an address.
func InvitationKey(address string) []byte {
	sum := sha256.Sum256([]byte(FoldEmail(address)))
	return append([]byte{PrefixInvitation}, sum[:]...)
}

// EncodeInvitation returns the record of an invitation.
func EncodeInvitation(i *model.Invitation) []byte {
	b := appendText([]byte{recordFormat}, recInvitationAddress, i.Address)
	for _, g := range i.Groups {
		b = protowire.AppendTag(b, recInvitationGroup, protowire.BytesType)
		b = protowire.AppendString(b, g)
	}
	b = appendNumber(b, recInvitationMailed, protowire.EncodeBool(i.Mailed))
	b = appendTime(b, recInvitationCreated, i.Created)
	return appendTime(b, recInvitationExpires, i.Expires)
}

// DecodeInvitation decodes the record of an invitation.
func DecodeInvitation(record []byte) (*model.Invitation, error) {
	i := &model.Invitation{}
	d := decoder{s: string(record)}
	d.format()
	for d.next() {
		switch d.num {
		case recInvitationAddress:
			i.Address = d.text()
		case recInvitationGroup:
			i.Groups = append(i.Groups, d.text())
		case recInvitationMailed:
			i.Mailed = protowire.DecodeBool(d.number())
		case recInvitationCreated:
			i.Created = d.time()
		case recInvitationExpires:
			i.Expires = d.time()
		default:
			d.raw()
		}
	}
	return i, d.err()
}
