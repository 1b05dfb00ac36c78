package badger

import (
	"context"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Groups implements GroupStore.
func (s *database) Groups(ctx context.Context) ([]*model.Group, error) {
	var groups []*model.Group
	err := s.view(ctx, func(v snapshot) error {
		return v.scan([]byte{records.PrefixGroup}, nil, func(_, value []byte) (bool, error) {
			g, err := records.DecodeGroup(value)
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
func (s *database) PutGroup(ctx context.Context, g *model.Group) error {
	record := records.EncodeGroup(g)
	return s.submit(ctx, &mutation{apply: func(b *batch) error {
		b.set(records.GroupKey(g.Name), record, 0)
		return nil
	}})
}

// Interface guards
var _ model.GroupStore = (*database)(nil)
