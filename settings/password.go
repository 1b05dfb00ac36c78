package settings

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/pwned"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Password has the rules for passwords, and for their hashing.
type Password struct {
	// Hasher has the parameters of Argon2id. Default: 19 MiB of memory, 2
	// iterations, a parallelism of 1 (OWASP's Password Storage Cheat Sheet).
	Hasher *password.Argon2id `json:"hasher,omitempty"`

	// MinLength is the minimum length of a new password in characters; 0 for
	// none. Default: 8. It is one of the validators. Source: Django's
	// MinimumLengthValidator.
	MinLength *int `json:"min_length,omitempty"`

	// MaxLength is the maximum length in characters. Default: 4096.
	MaxLength int `json:"max_length,omitempty"`

	// Validators refuse a new password that is common, numeric, similar to a field of
	// its account, or pwned: it has appeared in a data breach. Default: the first three.
	// An empty list turns them off, and the minimum length as well unless it is set.
	// Source: Django's CommonPasswordValidator, NumericPasswordValidator,
	// UserAttributeSimilarityValidator.
	Validators []string `json:"validators,omitzero"`

	// PwnedURL is the server that the validator pwned asks, by the protocol of Have I
	// Been Pwned's Pwned Passwords. It gets the first five digits of a password's SHA-1,
	// added to the URL. Without an answer within two seconds, the password is taken.
	// Default: https://api.pwnedpasswords.com/range/.
	PwnedURL string `json:"pwned_url,omitempty"`

	// Workers is the number of passwords to hash at once. Default: one less than
	// the number of processors, at least one.
	Workers int `json:"workers,omitempty"`

	// Queue is the number of passwords that may wait for a worker. More requests
	// get 503. Default: 16 for each worker.
	Queue int `json:"queue,omitempty"`
}

// Limits of Workers and Queue. More would be a mistake: each worker takes a
// processor and the memory of a hash.
const (
	maxWorkers = 1 << 10
	maxQueue   = 1 << 20
)

// validatorNames are the possible Validators. The last one is off by default, since it
// asks another server.
var validatorNames = []string{"common", "numeric", "similar", "pwned"}

func checkValidator(name string) error {
	if slices.Contains(validatorNames, name) {
		return nil
	}
	return fmt.Errorf("password validators: unknown validator %s: use some of common, numeric, similar and pwned, or off alone", name)
}

func (p *Password) NewValidators() password.Validators {
	v := password.Validators{
		MinLength: 8,
		Common:    slices.Contains(p.Validators, "common"),
		Numeric:   slices.Contains(p.Validators, "numeric"),
		Similar:   slices.Contains(p.Validators, "similar"),
	}
	switch {
	case p.MinLength != nil:
		v.MinLength = *p.MinLength
	case len(p.Validators) == 0:
		v.MinLength = 0
	}
	return v
}

// defaultPool hashes for all realms without workers of their own, so that several
// realms don't use all processors.
var defaultPool = password.NewPool(0, 0)

func (p *Password) Pool() *password.Pool {
	if p.Workers == 0 && p.Queue == 0 {
		return defaultPool
	}
	return password.NewPool(p.Workers, p.Queue)
}

func (p *Password) unmarshal(d *caddyfile.Dispenser) error {
	return directive.Block(d, "password", func(name string) error {
		switch name {
		case "hasher":
			return p.unmarshalHasher(d)
		case "min_length":
			p.MinLength = new(int)
			return directive.IntArg(d, p.MinLength, 0, math.MaxInt32)
		case "max_length":
			return directive.IntArg(d, &p.MaxLength, 1, math.MaxInt32)
		case "validators":
			p.Validators = []string{}
			if off, err := directive.OffArg(d); off || err != nil {
				return err
			}
			return directive.CheckedListArg(d, &p.Validators, checkValidator)
		case "pwned_url":
			return directive.CheckedArg(d, &p.PwnedURL, directive.Expandable(checkPwnedURL))
		case "workers":
			return directive.IntArg(d, &p.Workers, 1, maxWorkers)
		case "queue":
			return directive.IntArg(d, &p.Queue, 1, maxQueue)
		}
		return directive.Unknown(d, name, "password", "hasher", "min_length", "max_length", "validators", "pwned_url", "workers", "queue")
	})
}

func (p *Password) unmarshalHasher(d *caddyfile.Dispenser) error {
	place := *d
	var name string
	if err := directive.OneArg(d, &name); err != nil {
		return err
	}
	if name != "argon2id" {
		return d.Errf("unknown hasher '%s': new passwords are hashed with argon2id only", name)
	}
	h := password.Default
	p.Hasher = &h
	err := directive.OptionalBlock(d, func(name string) error {
		switch name {
		case "memory":
			var size int64
			if err := directive.SizeArg(d, &size); err != nil {
				return err
			}
			// Without a unit this parser reads bytes, but most tools read KiB.
			if text := d.Val(); '0' <= text[len(text)-1] && text[len(text)-1] <= '9' {
				return d.Errf("memory is '%s', which is %d bytes: add a unit, such as 19MiB", text, size)
			}
			h.Memory = uint32(min(size>>10, math.MaxUint32))
			return nil
		case "iterations":
			var n int
			err := directive.IntArg(d, &n, 1, math.MaxInt32)
			h.Iterations = uint32(n)
			return err
		case "parallelism":
			var n int
			err := directive.IntArg(d, &n, 1, math.MaxUint8)
			h.Parallelism = uint8(n)
			return err
		}
		return directive.Unknown(d, name, "hasher argon2id", "memory", "iterations", "parallelism")
	})
	if err != nil {
		return err
	}
	return directive.Refused(&place, h.Validate())
}

func checkPwnedURL(text string) error {
	if err := pwned.CheckURL(text); err != nil {
		return fmt.Errorf("password pwned_url: %w", err)
	}
	return nil
}

// validatePwned checks PwnedURL.
func (p *Password) validatePwned() error {
	switch {
	case p.PwnedURL == "":
		return nil
	case !slices.Contains(p.Validators, "pwned"):
		return errors.New("password pwned_url is for the validator pwned: add that to validators")
	}
	return checkPwnedURL(p.PwnedURL)
}
