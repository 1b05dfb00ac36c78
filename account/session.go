package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// Session is a log-in whose client has JSON Web Tokens instead of an auth token: access
// tokens, and refresh tokens to get more of them. They name it by its id. It ends like every
// log-in, and they with it.
type Session struct {
	ID    string       // of package jwt
	Token *model.Token // its record
}

// SessionDigest returns the digest of a session, under which its record is stored. It is no
// auth token's.
func SessionDigest(id string) model.Digest { return sha256.Sum256([]byte("session " + id)) }

// LoginSession is Login for a session with a new id.
func (r *Request) LoginSession(ctx context.Context, field *model.Field, name, pass, id string) (*model.Account, *Session, error) {
	s := newSession(id, model.MethodPassword)
	acc, err := r.login(ctx, field, name, pass, s.Token)
	if err != nil {
		return acc, nil, err
	}
	return acc, s, nil
}

// newSession returns a new session with an id, for addLogin.
func newSession(id string, m model.Method) *Session {
	return &Session{id, &model.Token{Digest: SessionDigest(id), Generation: 1, Method: m}}
}

// ErrReused means that a refresh token was used before, and is no longer good.
var ErrReused = errors.New("refresh token was used before")

// reuseGrace is how long a refresh token is still good after it was used, for two tabs of a
// browser that refresh at once.
const reuseGrace = 10 * time.Second

// CheckRefresh returns the session of a refresh token of a generation, if it is good. It
// changes nothing. Errors: ErrNotFound, also for an account that isn't active; ErrReused.
func (r *Request) CheckRefresh(ctx context.Context, id string, generation uint64) (*Session, error) {
	a := r.accounts
	t, acc, err := a.Store.Token(ctx, SessionDigest(id))
	if err != nil {
		return nil, err
	}
	r.event.Account = acc
	switch {
	case !acc.IsActive, generation > t.Generation:
		return nil, model.ErrNotFound
	case generation == t.Generation:
	case generation+1 == t.Generation && a.Now().Sub(t.Renewed) < reuseGrace:
	default:
		return nil, ErrReused
	}
	return &Session{id, t}, nil
}

// CheckSession returns ErrNotFound if a session has ended, or its account isn't active.
func (r *Request) CheckSession(ctx context.Context, id string) error {
	_, acc, err := r.accounts.Store.Token(ctx, SessionDigest(id))
	if err == nil && !acc.IsActive {
		return model.ErrNotFound
	}
	return err
}

// Refresh uses a refresh token of a generation. If sessions rotate, it is used up: the
// session has another generation then, and a new lifetime. A token that was used up before
// was copied, by its owner or a thief, so its session ends. Errors: those of CheckRefresh.
func (r *Request) Refresh(ctx context.Context, id string, generation uint64) (*Session, error) {
	a := r.accounts
	for range attempts {
		s, err := r.CheckRefresh(ctx, id, generation)
		switch {
		case errors.Is(err, ErrReused):
			digest := SessionDigest(id)
			if err := a.Commit(ctx, &model.Change{EndToken: &digest}); err != nil && !errors.Is(err, model.ErrNotFound) {
				return nil, err
			}
			return nil, ErrReused
		case err != nil || !a.Rules.RotateSessions || generation != s.Token.Generation:
			return s, err
		}
		t := s.Token
		now := a.Now()
		err = a.Commit(ctx, &model.Change{Renew: &model.Renewal{Digest: t.Digest, Generation: t.Generation, Renewed: now, Expires: now.Add(a.Rules.SessionTTL)}})
		switch {
		case errors.Is(err, model.ErrConflict): // another tab was first
			continue
		case err != nil:
			return nil, err
		}
		t.Generation, t.Renewed, t.Expires = t.Generation+1, now, now.Add(a.Rules.SessionTTL)
		return s, nil
	}
	return nil, model.ErrConflict
}
