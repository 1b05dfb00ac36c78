package badger

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Commit implements Store.
func (s *database) Commit(ctx context.Context, c *model.Change) error {
	if err := c.Validate(); err != nil {
		return err
	}
	w, err := newChangeWriter(s, c)
	if err != nil {
		return err
	}
	if err := s.submit(ctx, &mutation{apply: w.apply, ends: c.Ends()}); err != nil {
		return err
	}
	c.SetResults(w.id, w.version, w.keys, w.mails)
	return nil
}

// changeWriter applies a Change.
type changeWriter struct {
	s       *database
	change  *model.Change
	account *model.Account // its new state; nil: unchanged
	fields  []byte         // the encoded account; encoding needs no lock

	keys        []model.Key // result: without reserved keys that other accounts have
	id, version uint64      // results
	mails       []uint64    // results
}

func newChangeWriter(s *database, c *model.Change) (*changeWriter, error) {
	w := &changeWriter{s: s, change: c}
	if c.Account != nil && !c.Delete {
		w.account = c.NewAccount()
		var err error
		if w.fields, err = records.EncodeAccountFields(w.account); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *changeWriter) apply(b *batch) error {
	c := w.change
	if c.Account != nil && !c.Delete && c.Signature != w.s.signature {
		return model.ErrModel
	}
	ended := make(map[model.Digest]bool)
	var err error
	switch {
	case c.Delete:
		err = w.delete(b, ended)
	case c.Account != nil && c.Account.Version == 0:
		err = w.create(b)
	case c.Account != nil:
		err = w.update(b)
	case c.Token != nil:
		err = w.login(b)
	}
	if err != nil {
		return err
	}
	if !c.Delete && (c.EndTokens || c.Token != nil) {
		if err := w.endTokens(b, ended); err != nil {
			return err
		}
	}
	if c.Prove != nil {
		if err := proveToken(b, c.Prove); err != nil {
			return err
		}
	}
	if c.Renew != nil {
		if err := renewToken(b, c.Renew); err != nil {
			return err
		}
	}
	if c.EndToken != nil {
		if err := endToken(b, *c.EndToken, ended); err != nil {
			return err
		}
	}
	if c.Token != nil {
		if err := w.addToken(b); err != nil {
			return err
		}
	}
	if c.Free != nil {
		if err := freeKey(b, *c.Free); err != nil {
			return err
		}
	}
	if c.Uninvite != nil {
		if err := uninvite(b, c.Uninvite); err != nil {
			return err
		}
	}
	if c.Invite != nil {
		invite(b, c.Invite)
	}
	for _, k := range c.Hold {
		holdKey(b, k, c.HoldUntil)
	}
	w.mails = nil // of an earlier attempt
	for _, m := range c.Mails {
		w.addMail(b, *m)
	}
	return nil
}

func (w *changeWriter) create(b *batch) error {
	a := w.change.Account
	w.id = a.ID
	if w.id == 0 {
		w.id = b.stagedCounts.LastAccount + 1
	} else if _, err := b.get(records.NumberKey(records.PrefixAccount, w.id)); err == nil {
		return &model.TakenError{Field: "id"}
	} else if err != model.ErrNotFound {
		return err
	}
	if w.id > model.MaxID {
		return &model.TakenError{Field: "id"}
	}
	w.version = 1
	fields, err := w.setKeys(b, nil)
	if err != nil {
		return err
	}
	w.setEmail(b, "", a.Email)
	w.setAccount(b, fields, nil)
	b.stagedCounts.Accounts++
	b.stagedCounts.LastAccount = max(b.stagedCounts.LastAccount, w.id)
	return nil
}

// sameVersion returns the stored account, or ErrConflict if it was changed since
// a was read.
func sameVersion(b *batch, a *model.Account) (*records.Account, error) {
	stored, err := b.account(a.ID)
	if err != nil {
		return nil, err
	}
	if stored.Version != a.Version {
		return nil, model.ErrConflict
	}
	return stored, nil
}

func (w *changeWriter) update(b *batch) error {
	a := w.change.Account
	stored, err := sameVersion(b, a)
	if err != nil {
		return err
	}
	w.id, w.version = a.ID, a.Version+1
	fields, err := w.setKeys(b, stored.Keys)
	if err != nil {
		return err
	}
	w.setEmail(b, stored.Email, a.Email)
	w.setAccount(b, fields, stored.Unknown)
	return nil
}

func (w *changeWriter) delete(b *batch, ended map[model.Digest]bool) error {
	a := w.change.Account
	stored, err := sameVersion(b, a)
	if err != nil {
		return err
	}
	w.id, w.version = a.ID, a.Version
	tokens, err := tokensOf(b, w.id)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		dropToken(b, t, ended)
	}
	mails, err := b.keys(records.NumberKey(records.PrefixMailOf, w.id))
	if err != nil {
		return err
	}
	for _, k := range mails[:min(len(mails), maxMails)] {
		if err := dropMail(b, binary.BigEndian.Uint64([]byte(k.Key[1+8:]))); err != nil {
			return err
		}
	}
	dropKeys(b, stored.Keys, nil)
	w.setEmail(b, stored.Email, "")
	b.delete(records.NumberKey(records.PrefixAccount, w.id))
	b.stagedCounts.Accounts--
	return nil
}

// login stores the time of a login in the token's account.
func (w *changeWriter) login(b *batch) error {
	c := w.change
	stored, err := b.account(c.Token.Account)
	if err != nil {
		return err
	}
	if !stored.IsActive || stored.Serial != c.Serial {
		return model.ErrConflict
	}
	w.id, w.version = stored.ID, stored.Version+1
	c.LogIn(&stored.Account)
	fields, err := records.EncodeAccountFields(&stored.Account)
	if err != nil {
		return err
	}
	w.setAccount(b, fields, stored.Unknown)
	return nil
}

func (w *changeWriter) setAccount(b *batch, fields []byte, unknown []byte) {
	b.set(records.NumberKey(records.PrefixAccount, w.id), records.EncodeAccount(w.version, b.generation, fields, unknown), 0)
}

// setKeys replaces the unique keys of the account. It returns the encoded account
// with its new keys.
func (w *changeWriter) setKeys(b *batch, old []model.Key) (fields []byte, err error) {
	w.keys, err = ownKeys(b, b.generation, w.id, w.account.Keys)
	if err != nil {
		return nil, err
	}
	for _, k := range w.keys {
		b.set(records.UniqueKey(b.generation, k), binary.BigEndian.AppendUint64(nil, w.id), 0)
	}
	dropKeys(b, old, w.keys)
	if len(w.keys) == len(w.account.Keys) {
		return w.fields, nil
	}
	written := *w.account
	written.Keys = w.keys
	return records.EncodeAccountFields(&written)
}

// ownKeys returns the keys that an account can have. It leaves out reserved keys
// that another account has. Other keys must be free: if another account has one,
// or it is held, ownKeys returns a *TakenError.
func ownKeys(b *batch, generation, id uint64, keys []model.Key) ([]model.Key, error) {
	var own []model.Key
	for _, k := range keys {
		free, err := isFree(b, generation, id, k)
		switch {
		case err != nil:
			return nil, err
		case free:
			own = append(own, k)
		case !k.Reserved:
			return nil, &model.TakenError{Field: k.Field}
		}
	}
	return own, nil
}

// isFree reports whether an account can have a key, or already has it.
func isFree(b *batch, generation, id uint64, k model.Key) (bool, error) {
	holder, err := b.get(records.UniqueKey(generation, k))
	switch {
	case err == nil:
		return binary.BigEndian.Uint64(holder) == id, nil
	case err != model.ErrNotFound:
		return false, err
	case k.Reserved:
		return true, nil
	}
	held, err := isHeld(b, k)
	return !held, err
}

// dropKeys deletes the old keys that are not among the new ones.
func dropKeys(b *batch, old, keys []model.Key) {
	for _, k := range old {
		if !slices.ContainsFunc(keys, k.Same) {
			b.delete(records.UniqueKey(b.generation, k))
		}
	}
}

// setEmail replaces the account's entry in the index of addresses.
func (w *changeWriter) setEmail(b *batch, old, email string) {
	old, email = records.FoldEmail(old), records.FoldEmail(email)
	if old == email {
		return
	}
	if old != "" {
		b.delete(records.EmailKey(old, w.id))
	}
	if email != "" {
		b.set(records.EmailKey(email, w.id), []byte{}, 0)
	}
}

// addToken adds the token to the account.
func (w *changeWriter) addToken(b *batch) error {
	t := *w.change.Token
	t.Account = w.id
	key := records.TokenKey(t.Digest)
	if _, err := b.get(key); err == nil {
		return &model.TakenError{Field: "token"}
	} else if err != model.ErrNotFound {
		return err
	}
	setToken(b, &t, nil)
	setRef(b, &t)
	b.stagedCounts.tokens++
	return nil
}

// endTokens ends all tokens of the account, or those that have to make room for a new
// one.
func (w *changeWriter) endTokens(b *batch, ended map[model.Digest]bool) error {
	c := w.change
	if c.Account != nil && c.Account.Version == 0 {
		return nil // it has none yet
	}
	tokens, err := tokensOf(b, w.id)
	if err != nil {
		return err
	}
	if c.EndTokens {
		for _, t := range tokens {
			if t.Login() != c.Keep && !(t.Named && c.KeepNamed) {
				dropToken(b, t, ended)
			}
		}
		return nil
	}
	if !c.Token.IsLogin() {
		if err := w.endSiblings(b, tokens, ended); err != nil {
			return err
		}
	}
	w.endOldest(b, tokens, ended)
	return nil
}

// endOldest ends the oldest log-ins above the limits.
func (w *changeWriter) endOldest(b *batch, tokens []records.TokenRef, ended map[model.Digest]bool) {
	for _, login := range records.OldLogins(tokens, len(tokens)-len(ended), w.change.Token, w.change.TokenLimit) {
		dropLogin(b, tokens, login, ended)
	}
}

// endSiblings ends the token that was handed over to the same host before, and others
// above the limit. The parent must be there.
func (w *changeWriter) endSiblings(b *batch, tokens []records.TokenRef, ended map[model.Digest]bool) error {
	parent, _, err := b.token(w.change.Token.Parent)
	if err != nil {
		return err
	}
	if !parent.IsLogin() || parent.Account != w.id {
		return model.ErrNotFound
	}
	left := 0
	for _, ref := range tokens {
		if ref.Parent != parent.Digest {
			continue
		}
		t, _, err := b.token(ref.Digest)
		switch {
		case err != nil && err != model.ErrNotFound: // expired meanwhile
			return err
		case err == nil && t.Host != w.change.Token.Host && left < records.MaxChildren-1:
			left++
		default:
			dropToken(b, ref, ended)
		}
	}
	return nil
}

func (w *changeWriter) addMail(b *batch, m model.Mail) {
	b.stagedCounts.LastMail++
	m.ID = b.stagedCounts.LastMail
	if w.id != 0 {
		m.Account = w.id
	}
	w.mails = append(w.mails, m.ID)
	setMail(b, &m, nil)
	if m.Account != 0 {
		b.set(records.NumberKey(records.PrefixMailOf, m.Account, m.ID), []byte{}, 0)
	}
	b.stagedCounts.Mails++
}
