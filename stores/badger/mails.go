package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/caddy-djoser/djoser/stores/records"
)

// maxMails is the maximum number of mails that are deleted with their account, in
// one transaction.
const maxMails = 1000

// Mails implements Store.
func (s *database) Mails(ctx context.Context, due time.Time, limit int) ([]*model.Mail, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	var mails []*model.Mail
	last := records.DueKey(due, math.MaxUint64)
	err := s.view(ctx, func(v snapshot) error {
		return v.scan([]byte{records.PrefixMailDue}, nil, func(key, _ []byte) (bool, error) {
			if bytes.Compare(key, last) > 0 {
				return false, nil
			}
			m, _, err := v.mail(binary.BigEndian.Uint64(key[1+8:]))
			if err != nil {
				return false, err
			}
			mails = append(mails, m)
			return len(mails) < limit, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return mails, nil
}

// LatestMails implements Store.
func (s *database) LatestMails(ctx context.Context, due time.Time, limit int) ([]*model.Mail, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	var mails []*model.Mail
	err := s.view(ctx, func(v snapshot) error {
		from := records.DueKey(due, math.MaxUint64)
		return v.Descend(from[:1], from, func(e sst.Entry) (bool, error) {
			m, _, err := v.mail(binary.BigEndian.Uint64(e.Key[1+8:]))
			if err != nil {
				return false, err
			}
			mails = append(mails, m)
			return len(mails) < limit, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return mails, nil
}

func (v snapshot) mail(id uint64) (*model.Mail, []byte, error) {
	record, err := v.get(records.NumberKey(records.PrefixMail, id))
	if err != nil {
		return nil, nil, err
	}
	m, unknown, err := records.DecodeMail(id, record)
	if err != nil {
		return nil, nil, fmt.Errorf("mail %d: %w", id, err)
	}
	return m, unknown, nil
}

// PutMail implements Store.
func (s *database) PutMail(ctx context.Context, m *model.Mail) error {
	put := *m
	return s.submit(ctx, &mutation{apply: func(b *batch) error {
		old, unknown, err := b.mail(put.ID)
		if err != nil {
			return err
		}
		b.delete(records.DueKey(old.Due, put.ID))
		put.Account = old.Account
		setMail(b, &put, unknown)
		return nil
	}})
}

// DeleteMail implements Store.
func (s *database) DeleteMail(ctx context.Context, id uint64) error {
	return s.submit(ctx, &mutation{ends: true, apply: func(b *batch) error {
		if err := dropMail(b, id); err != model.ErrNotFound {
			return err
		}
		return nil
	}})
}

func (b *batch) mail(id uint64) (*model.Mail, []byte, error) {
	record, err := b.get(records.NumberKey(records.PrefixMail, id))
	if err != nil {
		return nil, nil, err
	}
	return records.DecodeMail(id, record)
}

func setMail(b *batch, m *model.Mail, unknown []byte) {
	b.set(records.NumberKey(records.PrefixMail, m.ID), records.EncodeMail(m, unknown), 0)
	b.set(records.DueKey(m.Due, m.ID), []byte{}, 0)
}

func dropMail(b *batch, id uint64) error {
	m, _, err := b.mail(id)
	if err != nil {
		return err
	}
	b.delete(records.NumberKey(records.PrefixMail, id))
	b.delete(records.DueKey(m.Due, id))
	if m.Account != 0 {
		b.delete(records.NumberKey(records.PrefixMailOf, m.Account, id))
	}
	b.stagedCounts.Mails--
	return nil
}
