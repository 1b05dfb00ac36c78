package django

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
)

// DeviceModel is the model of authenticator apps in django-otp.
const DeviceModel = "otp_totp.totpdevice"

// The size of an app's key in bytes: the least that is hard to guess, and the most that
// django-otp's column holds.
const (
	minKey = 10
	maxKey = 40
)

// unsupportedError says why a device can't be a second factor here.
type unsupportedError struct{ text string }

func (e *unsupportedError) Error() string { return e.text }

// fixedParameters are those of an app's codes that have one value here; see package mfa.
var fixedParameters = []struct {
	name  string
	value int64
}{{"step", 30}, {"digits", 6}, {"t0", 0}}

// maxDrift is by how many steps a clock may differ here.
const maxDrift = 1

// device imports or checks an authenticator app. It has no recovery codes.
func (im *importer) device(ctx context.Context, row *Row) error {
	factor, err := im.factor(row)
	switch {
	case errors.As(err, new(*unsupportedError)):
		return im.leaveOut(row, "%v", err)
	case err != nil:
		return im.refuse(row, "%v", err)
	case !im.options.MFA:
		return im.refuse(row, "second factors are off here, and its user couldn't log in with one: put the line mfa into the djoser block")
	}
	user, owner, err := im.userOf(ctx, row)
	if err != nil {
		return im.refuseClash(row, err)
	}
	if im.options.Phase == PhaseCheck {
		return im.rememberDevice(ctx, row, user, owner, factor.Created)
	}
	return im.giveFactor(ctx, row, owner, factor)
}

// factor makes a second factor from a row. Codes up to the last one that Django took are
// refused: its last_t is the step of that.
func (im *importer) factor(row *Row) (*model.Factor, error) {
	confirmed, err := row.flag("confirmed", true)
	if err != nil {
		return nil, err
	}
	if !confirmed {
		return nil, &unsupportedError{"its user never confirmed it with a code"}
	}
	for _, p := range fixedParameters {
		switch n, err := row.number(p.name, p.value); {
		case err != nil:
			return nil, err
		case n != p.value:
			return nil, &unsupportedError{fmt.Sprintf("%s is %d, and only %d is possible here: its user logs in with the password alone, until they set up an app again", p.name, n, p.value)}
		}
	}
	text, err := row.text("key")
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(text)
	if err != nil || len(secret) < minKey || len(secret) > maxKey {
		return nil, &unsupportedError{fmt.Sprintf("its key is not one of %d to %d bytes in hexadecimal digits: its user logs in with the password alone, until they set up an app again", minKey, maxKey)}
	}
	last, err := row.number("last_t", -1)
	if err != nil {
		return nil, err
	}
	created, err := row.time("created_at")
	if err != nil {
		return nil, err
	}
	return &model.Factor{Secret: secret, Step: uint64(max(last, 0)), Created: created}, im.checkDrift(row)
}

func (im *importer) checkDrift(row *Row) error {
	drift, err := row.number("drift", 0)
	if err == nil && max(drift, -drift) > maxDrift && im.options.Phase == PhaseCheck {
		im.problem(row, true, "the clock of the app was %d steps of 30 seconds off, and here %d is possible: its codes are wrong until the clock is right", drift, maxDrift)
	}
	return err
}

// device is what the check remembers of an app.
type device struct {
	row     int
	created time.Time // zero if it was made before django-otp 1.5
	present bool      // its user has a factor here
}

// rememberDevice notes that an app can be imported, unless its user has a newer one. Of those
// without a time the last in the dump is the newest, since dumpdata sorts by primary key.
func (im *importer) rememberDevice(ctx context.Context, row *Row, user model.Key, owner uint64, created time.Time) error {
	this := device{row: row.Number, created: created}
	stored, err := im.accounts.Store.Account(ctx, owner)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return err
	}
	this.present = err == nil && stored.Factor.IsActive()
	im.mu.Lock()
	defer im.mu.Unlock()
	hash := hashOf(user)
	other, ok := im.devices[hash]
	if ok && cmp.Or(this.created.Compare(other.created), cmp.Compare(this.row, other.row)) < 0 {
		this, other = other, this
	}
	im.devices[hash] = this
	if ok {
		im.leaveOutLate(Problem{Row: other.row, Model: DeviceModel, Text: "left out: its user has a newer one"})
	}
	return nil
}

// endDevices counts the apps that can be imported.
func (im *importer) endDevices() {
	for _, d := range im.devices {
		if d.present {
			im.report.Factors.add(Tally{Rows: 1, Present: 1})
		} else {
			im.report.Factors.add(Tally{Rows: 1, Added: 1})
		}
	}
}

// giveFactor gives an account its second factor from Django, unless it has one here.
func (im *importer) giveFactor(ctx context.Context, row *Row, owner uint64, f *model.Factor) error {
	if now := im.accounts.Now(); f.Created.IsZero() || f.Created.After(now) {
		f.Created = now
	}
	_, err := im.accounts.Update(ctx, owner, func(acc *model.Account, _ *model.Change) error {
		if acc.Factor.IsActive() {
			return account.ErrFactorSet
		}
		acc.Factor = f
		return nil
	})
	switch {
	case errors.Is(err, account.ErrFactorSet):
		return im.count(row, Tally{Rows: 1, Present: 1})
	case errors.Is(err, model.ErrNotFound):
		return im.refuse(row, "its user has been deleted meanwhile")
	case err != nil:
		return err
	}
	return im.count(row, Tally{Rows: 1, Added: 1})
}

// leaveOut leaves out a row, which is no error.
func (im *importer) leaveOut(row *Row, format string, args ...any) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.leaveOutLate(Problem{Row: row.Number, Model: row.Model, PK: row.name(), Text: "left out: " + fmt.Sprintf(format, args...)})
	return nil
}

func (im *importer) leaveOutLate(p Problem) {
	p.Warning = true
	im.list(p)
	im.report.LeftOut[p.Model]++
	im.report.RefusedRows = append(im.report.RefusedRows, p.Row)
}
