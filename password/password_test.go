package password

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// quick has the least parameters, for tests.
var quick = Argon2id{Memory: 8, Iterations: 1, Parallelism: 1}

// djangoHashes are of the password lètmein: made by Django 3.2 with small
// costs, that of scrypt by Python's hashlib in the format of Django 4.
var djangoHashes = []struct{ name, encoded string }{
	{"pbkdf2_sha256", `pbkdf2_sha256$1000$V80EeOdscjYvw4NSWTTJIO$BeEJCuJmca/TQBqXR2BVIVEiJwAkdohxpDVZBP6OLcc=`},
	{"pbkdf2_sha1", `pbkdf2_sha1$1000$iZfZ5zXkZCQIVOOAvudR2X$BXwSX8hovqfDztw+14JyoqIfnuk=`},
	{"argon2", `argon2$argon2id$v=19$m=1024,t=2,p=2$enFudGhpZE1IZTdQaTd0Ylh0aTNVSw$NNDehdFeVylEFKPaJTQrog`},
	{"bcrypt_sha256", `bcrypt_sha256$$2b$05$9uMVz/QXrXEjGqshh/fllu3l7X77XvInB.0SaKSRn0hwb.3t.w5Ta`},
	{"bcrypt", `bcrypt$$2b$05$/Diq.AyotrWcrugm7li6n.40CVPwm2TXGMFe4Mx6SGDPMMcWw2qBS`},
	{"scrypt", `scrypt$1024$seasalt$8$1$+qO2jTkVUbPNlniTkHY96ldSJKs4U0WQif8UbWlfO3wJDNhKOg+pPtDckiT6Zw0qkEvKIQ1MdONfGxsWrpoiNg==`},
}

func TestEveryFormatOfDjangoIsChecked(t *testing.T) {
	for _, h := range djangoHashes {
		t.Run(h.name, func(t *testing.T) {
			ok, weak, err := Default.Verify(h.encoded, "lètmein")
			if !ok || !weak || err != nil {
				t.Errorf("the password: ok %t, weak %t, %v", ok, weak, err)
			}
			for _, wrong := range []string{"", "letmein", "lètmein ", strings.Repeat("x", 5000)} {
				if ok, weak, err := Default.Verify(h.encoded, wrong); ok || weak || err != nil {
					t.Errorf("%.10q: ok %t, weak %t, %v", wrong, ok, weak, err)
				}
			}
		})
	}
}

func TestANewHashIsGoodForItsPasswordOnly(t *testing.T) {
	for _, pass := range []string{"secret", "", "pass\x00word", strings.Repeat("long", 1000), "zółw😀"} {
		encoded, err := quick.Hash(pass)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(encoded, "argon2$argon2id$v=19$m=8,t=1,p=1$") {
			t.Errorf("encoding %q is not Django's", encoded)
		}
		if ok, weak, err := quick.Verify(encoded, pass); !ok || weak || err != nil {
			t.Errorf("%.10q: ok %t, weak %t, %v", pass, ok, weak, err)
		}
		if ok, _, _ := quick.Verify(encoded, pass+"x"); ok {
			t.Errorf("%.10q: another password is taken", pass)
		}
	}
}

func TestAHashIsWeakThatCostsLessThanTheSetting(t *testing.T) {
	encoded, err := quick.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []Argon2id{{16, 1, 1}, {8, 2, 1}} {
		if ok, weak, _ := more.Verify(encoded, "secret"); !ok || !weak {
			t.Errorf("%v: ok %t, weak %t", more, ok, weak)
		}
	}
}

func TestNoPasswordMatchesAnUnusableHash(t *testing.T) {
	for _, encoded := range []string{"", "!", Unusable(), "!QVIiNKI7UHNq8wQZLo9dpqnMaTQC1c3EtgTNA5Y6"} {
		if Usable(encoded) {
			t.Errorf("%q is usable", encoded)
		}
		if ok, _, err := quick.Verify(encoded, encoded); ok || err == nil {
			t.Errorf("%q: ok %t, %v", encoded, ok, err)
		}
	}
	if len(Unusable()) != 41 || Unusable() == Unusable() {
		t.Errorf("%q is not Django's", Unusable())
	}
}

func TestBcryptTakesNoMoreThanItReads(t *testing.T) {
	long := strings.Repeat("x", 72)
	raw, err := bcrypt.GenerateFromPassword([]byte(long), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	encoded := "bcrypt$" + string(raw)
	if ok, _, err := quick.Verify(encoded, long); !ok || err != nil {
		t.Errorf("72 bytes: %t, %v", ok, err)
	}
	if ok, _, err := quick.Verify(encoded, long+"x"); ok || err != nil {
		t.Errorf("73 bytes: %t, %v", ok, err)
	}
}

func TestAHostileHashIsRefusedWithoutItsWork(t *testing.T) {
	const salt, key = "c2FsdHNhbHQ", "a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5"
	for encoded, want := range map[string]error{
		"argon2$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + key:       ErrCost,
		"argon2$argon2id$v=19$m=8,t=4294967295,p=1$" + salt + "$" + key:       ErrCost,
		"argon2$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key:                ErrCost,
		"argon2$argon2d$v=19$m=8,t=1,p=1$" + salt + "$" + key:                 ErrFormat,
		"argon2$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + key:                ErrFormat,
		"argon2$argon2id$v=19$m=8,t=1,p=1$" + salt + "$":                      ErrFormat,
		"pbkdf2_sha256$2000000000$salt$" + key:                                ErrCost,
		"pbkdf2_sha256$-1$salt$" + key:                                        ErrFormat,
		"bcrypt$$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy": ErrCost,
		"scrypt$1073741824$salt$8$1$" + key:                                   ErrCost,
		"scrypt$1024$salt$8$1000000$" + key:                                   ErrCost,
		"scrypt$1000$salt$8$1$" + key:                                         ErrFormat,
		"md5$salt$" + key:                                                     ErrFormat,
		"plain":                                                               ErrFormat,
		strings.Repeat("argon2$", 1000):                                       ErrFormat,
	} {
		if ok, weak, err := Default.Verify(encoded, "x"); ok || weak || !errors.Is(err, want) {
			t.Errorf("%.60s: ok %t, weak %t, %v, want %v", encoded, ok, weak, err, want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	for _, h := range djangoHashes {
		f.Add(h.encoded, "lètmein")
	}
	f.Fuzz(func(t *testing.T, encoded, pass string) {
		ok, weak, err := quick.Verify(encoded, pass)
		if weak && !ok || ok && err != nil {
			t.Errorf("ok %t, weak %t, %v", ok, weak, err)
		}
	})
}

func TestThePoolBoundsWhatWorksAndWhatWaits(t *testing.T) {
	p := NewPool(2, 3)
	block, started := make(chan struct{}), make(chan struct{}, 5)
	var done sync.WaitGroup
	for range 2 {
		done.Go(func() {
			p.Do(t.Context(), func() { started <- struct{}{}; <-block })
		})
	}
	<-started
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	var left atomic.Int32
	for range 3 {
		done.Go(func() {
			if errors.Is(p.Do(ctx, func() {}), context.Canceled) {
				left.Add(1)
			}
		})
	}
	for p.Waiting() < 3 { // they are on their way
		select {
		case <-t.Context().Done():
			t.Fatal("nobody waits")
		default:
		}
	}
	if err := p.Do(t.Context(), func() { t.Error("ran") }); !errors.Is(err, ErrBusy) {
		t.Errorf("a full queue: %v, want ErrBusy", err)
	}
	if p.Running() != 2 {
		t.Errorf("%d at work, want 2", p.Running())
	}
	cancel()
	for p.Waiting() > 0 {
	}
	close(block)
	done.Wait()
	if left.Load() != 3 {
		t.Errorf("%d left the queue, want 3", left.Load())
	}
	if err := p.Do(t.Context(), func() {}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		if _, err := Default.Hash("secret"); err != nil {
			b.Fatal(err)
		}
	}
}
