package django

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/caddy-djoser/djoser/mfa"
	"github.com/caddy-djoser/djoser/model"
)

// The models of recovery codes in django-otp: each is of a device, which is of a user.
const (
	CodeModel       = "otp_static.statictoken"
	codeDeviceModel = "otp_static.staticdevice"
)

// maxCodes is how many recovery codes a user can bring along.
const maxCodes = 50

// codes are the recovery codes of a user.
type codes struct {
	owner   uint64
	rows    []int
	digests []model.Digest // not in a check
}

// noteCodeDevice notes whose recovery codes are those of a device. Others aren't imported.
func (im *importer) noteCodeDevice(row *Row) error {
	id, err := row.id()
	confirmed, flagErr := row.flag("confirmed", true)
	if err == nil && flagErr == nil && confirmed && id != 0 {
		im.names.Lock()
		im.codeDevices[id] = row.Fields["user"]
		im.names.Unlock()
	}
	return nil
}

func (im *importer) codeUser(device uint64) (json.RawMessage, bool) {
	im.names.RLock()
	defer im.names.RUnlock()
	user, ok := im.codeDevices[device]
	return user, ok
}

// code imports or checks a recovery code, whose digest alone is kept. It is given to its user at
// the end, when the user's app is there.
func (im *importer) code(ctx context.Context, row *Row) error {
	device, err := parseID(row.Fields["device"])
	if err != nil {
		return im.refuse(row, "its device is not an id")
	}
	text, err := row.text("token")
	if err != nil {
		return im.refuse(row, "%v", err)
	}
	user, ok := im.codeUser(device)
	if !ok {
		return im.leaveOut(row, "its device is not in the dump, before it, or not confirmed: dump otp_static, too")
	}
	if _, ok := mfa.RecoveryDigest(nil, 0, text); !ok {
		return im.leaveOut(row, "the code is too easy to guess, or can't be one here: a code has %d to %d letters and digits", mfa.MinRecovery, mfa.MaxRecovery)
	}
	row.Fields["user"] = user
	key, owner, err := im.userOf(ctx, row)
	if err != nil {
		return im.refuseClash(row, err)
	}
	return im.rememberCode(row, key, owner, text)
}

func (im *importer) rememberCode(row *Row, user model.Key, owner uint64, text string) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	c := im.codes[hashOf(user)]
	if c == nil {
		c = &codes{owner: owner}
		im.codes[hashOf(user)] = c
	}
	if len(c.rows) == maxCodes {
		im.leaveOutLate(Problem{Row: row.Number, Model: row.Model, PK: row.name(), Text: "left out: its user has too many"})
		return nil
	}
	c.rows = append(c.rows, row.Number)
	if im.options.Phase != PhaseCheck {
		digest, _ := mfa.RecoveryDigest(im.accounts.Links.Key, owner, text)
		c.digests = append(c.digests, digest)
	}
	return nil
}

// endCodes gives the codes to their users, or counts those that can be given: to who gets an
// app.
func (im *importer) endCodes(ctx context.Context) error {
	for user, c := range im.codes {
		if im.options.Phase != PhaseCheck {
			if err := im.giveCodes(ctx, c); err != nil {
				return err
			}
			continue
		}
		n := len(c.rows)
		switch d, ok := im.devices[user]; {
		case !ok:
			for _, row := range c.rows {
				im.leaveOutLate(Problem{Row: row, Model: CodeModel, Text: "left out: its user has no authenticator app in the dump"})
			}
		case d.present:
			im.report.Codes.add(Tally{Rows: n, Present: n})
		default:
			im.report.Codes.add(Tally{Rows: n, Added: n})
		}
	}
	return nil
}

// giveCodes gives an account its recovery codes, if its factor was imported, too, and not used
// since: codes that were used here don't come back.
func (im *importer) giveCodes(ctx context.Context, c *codes) error {
	n := len(c.digests)
	tally := Tally{Rows: n, Present: n}
	_, err := im.accounts.Update(ctx, c.owner, func(acc *model.Account, _ *model.Change) error {
		f := acc.Factor
		if !f.IsActive() || len(f.Recovery) > 0 || !f.Used.IsZero() {
			return nil
		}
		f.Recovery = c.digests
		tally = Tally{Rows: n, Added: n}
		return nil
	})
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return err
	}
	im.report.Codes.add(tally)
	return nil
}
