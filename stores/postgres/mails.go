package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

// decodeMail decodes the record of a mail.
func decodeMail(id uint64, record []byte) (*model.Mail, []byte, error) {
	m, unknown, err := records.DecodeMail(id, record)
	if err != nil {
		return nil, nil, answer{fmt.Errorf("mail %d: %w", id, err)}
	}
	return m, unknown, nil
}

// mails reads mails that are due and not another server's.
func (s *database) mails(ctx context.Context, order string, due time.Time, limit int) (mails []*model.Mail, err error) {
	if limit <= 0 {
		return nil, s.usable(ctx)
	}
	if due.After(maxDue) {
		due = maxDue
	}
	err = s.do(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.sql(`select id, record from djoser.mails
			where due <= $1 and (claimed is null or claimed < now() or claimer = $2) order by `+order+` limit $3`), due.UnixMicro(), s.node, limit)
		if err != nil {
			return err
		}
		mails, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*model.Mail, error) {
			var (
				id     uint64
				record []byte
			)
			if err := row.Scan(&id, &record); err != nil {
				return nil, err
			}
			m, _, err := decodeMail(id, record)
			return m, err
		})
		return err
	})
	return mails, err
}

// Mails implements model.Store.
func (s *database) Mails(ctx context.Context, due time.Time, limit int) ([]*model.Mail, error) {
	return s.mails(ctx, "due, id", due, limit)
}

// LatestMails implements model.Store.
func (s *database) LatestMails(ctx context.Context, due time.Time, limit int) ([]*model.Mail, error) {
	return s.mails(ctx, "due desc, id desc", due, limit)
}

// ClaimMail implements model.SharedStore.
func (s *database) ClaimMail(ctx context.Context, id uint64, d time.Duration) (claimed bool, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		tag, err := s.pool.Exec(ctx, s.sql(`update djoser.mails set claimed = now() + make_interval(secs => $3), claimer = $2
			where id = (select id from djoser.mails
				where id = $1 and (claimed is null or claimed < now() or claimer = $2) for update skip locked)`), id, s.node, d.Seconds())
		claimed = tag.RowsAffected() == 1
		return err
	})
	return claimed, err
}

// PutMail implements model.Store.
func (s *database) PutMail(ctx context.Context, m *model.Mail) error {
	var put model.Mail
	var unknown []byte
	return s.change(ctx, func(b *pgx.Batch) {
		b.Queue(s.sql("select record from djoser.mails where id = $1 for update"), m.ID).QueryRow(func(row pgx.Row) error {
			var record []byte
			if err := row.Scan(&record); err != nil {
				return orNotFound(err)
			}
			old, more, err := decodeMail(m.ID, record)
			if err != nil {
				return err
			}
			put, unknown = *m, more
			put.Account = old.Account
			return nil
		})
	}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("update djoser.mails set due = $2, record = $3, claimed = null where id = $1"),
			put.ID, put.Due.UnixMicro(), records.EncodeMail(&put, unknown))
		return err
	})
}

// DeleteMail implements model.Store.
func (s *database) DeleteMail(ctx context.Context, id uint64) error {
	return s.do(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, s.sql("delete from djoser.mails where id = $1"), id)
		return err
	})
}
