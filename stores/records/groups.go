package records

import (
	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	recGroupID         protowire.Number = 1
	recGroupName       protowire.Number = 2
	recGroupPermission protowire.Number = 3
)

// GroupKey returns the key of a group.
func GroupKey(name string) []byte { return appendKeyText([]byte{PrefixGroup}, name) }

// EncodeGroup returns the record of a group.
func EncodeGroup(g *model.Group) []byte {
	b := appendNumber([]byte{recordFormat}, recGroupID, g.ID)
	b = appendText(b, recGroupName, g.Name)
	for _, p := range g.Permissions {
		b = protowire.AppendTag(b, recGroupPermission, protowire.BytesType)
		b = protowire.AppendString(b, p)
	}
	return b
}

// DecodeGroup decodes the record of a group.
func DecodeGroup(record []byte) (*model.Group, error) {
	g := &model.Group{}
	d := decoder{s: string(record)}
	d.format()
	for d.next() {
		switch d.num {
		case recGroupID:
			g.ID = d.number()
		case recGroupName:
			g.Name = d.text()
		case recGroupPermission:
			g.Permissions = append(g.Permissions, d.text())
		default:
			d.raw()
		}
	}
	return g, d.err()
}
