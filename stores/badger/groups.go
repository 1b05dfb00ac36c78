package badger

import (
	"context"

	"github.com/caddy-djoser/djoser/account"
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of a group's record; see records.go.
const (
	recGroupID         protowire.Number = 1
	recGroupName       protowire.Number = 2
	recGroupPermission protowire.Number = 3
)

func groupKey(name string) []byte { return appendKeyText([]byte{prefixGroup}, name) }

func encodeGroup(g *account.Group) []byte {
	b := appendNumber([]byte{recordFormat}, recGroupID, g.ID)
	b = appendText(b, recGroupName, g.Name)
	for _, p := range g.Permissions {
		b = protowire.AppendTag(b, recGroupPermission, protowire.BytesType)
		b = protowire.AppendString(b, p)
	}
	return b
}

func decodeGroup(record []byte) (*account.Group, error) {
	g := &account.Group{}
	d := recordDecoder{s: string(record)}
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

// Groups implements GroupStore.
func (s *database) Groups(ctx context.Context) ([]*account.Group, error) {
	var groups []*account.Group
	err := s.view(ctx, func(v snapshot) error {
		return v.scan([]byte{prefixGroup}, nil, func(_, value []byte) (bool, error) {
			g, err := decodeGroup(value)
			if err != nil {
				return false, err
			}
			groups = append(groups, g)
			return true, ctx.Err()
		})
	})
	return groups, err
}

// PutGroup implements GroupStore.
func (s *database) PutGroup(ctx context.Context, g *account.Group) error {
	record := encodeGroup(g)
	return s.submit(ctx, &mutation{apply: func(b *batch) error {
		b.set(groupKey(g.Name), record, 0)
		return nil
	}})
}

// Interface guards
var _ account.GroupStore = (*database)(nil)
