package password

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

// quick has the least parameters, for tests.
var quick = Argon2id{Memory: 8, Iterations: 1, Parallelism: 1}

// letmein is the password that Django's own tests use.
const letmein = "lètmein"

// vectors are stored hashes with their passwords, made by something else than
// this package: Django, Python's hashlib, crypt(3) and the reference
// implementation of Argon2.
var vectors = []struct{ name, password, encoded string }{
	{"pbkdf2_sha256 of Django's tests", letmein, `pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=`},
	{"pbkdf2_sha256 of Django 3.2", letmein, `pbkdf2_sha256$1000$V80EeOdscjYvw4NSWTTJIO$BeEJCuJmca/TQBqXR2BVIVEiJwAkdohxpDVZBP6OLcc=`},
	{"pbkdf2_sha256 of nothing, by hashlib", "", `pbkdf2_sha256$1000$$T8WKIcEAzhg1uPmZHXOLVpZdFLJOF2H73/xprF4LZno=`},
	{"pbkdf2_sha1 of Django 3.2", letmein, `pbkdf2_sha1$1000$iZfZ5zXkZCQIVOOAvudR2X$BXwSX8hovqfDztw+14JyoqIfnuk=`},
	{"pbkdf2_sha1 by hashlib", letmein, `pbkdf2_sha1$1000$seasalt$ljleU4wBmTtz/MoG5YTwxpM0d7I=`},
	{"argon2id of Django's tests", "secret", `argon2$argon2id$v=19$m=102400,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw`},
	{"argon2id of Django 3.2", letmein, `argon2$argon2id$v=19$m=1024,t=2,p=2$enFudGhpZE1IZTdQaTd0Ylh0aTNVSw$NNDehdFeVylEFKPaJTQrog`},
	{"argon2id by the reference", letmein, `argon2$argon2id$v=19$m=64,t=2,p=1$QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo$Tk+FfubD75s7y/EKofChrWHmlbOuPd+zSmOF8omV1Ng`},
	{"argon2i of Django's tests", "secret", `argon2$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q`},
	{"argon2i by the reference", letmein, `argon2$argon2i$v=19$m=64,t=3,p=2$c2l4dGVlbmJ5dGVzc2FsdA$i8b2oLuRA7jkbxn68Yp54Q`},
	{"bcrypt_sha256 of Django 3.2", letmein, `bcrypt_sha256$$2b$05$9uMVz/QXrXEjGqshh/fllu3l7X77XvInB.0SaKSRn0hwb.3t.w5Ta`},
	{"bcrypt_sha256 by crypt(3)", strings.Repeat("0123456789", 8), `bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuhvK7XdV8JtC2nk31L1QuqKFRHB.7yKy`},
	{"bcrypt of Django 3.2", letmein, `bcrypt$$2b$05$/Diq.AyotrWcrugm7li6n.40CVPwm2TXGMFe4Mx6SGDPMMcWw2qBS`},
	{"bcrypt by crypt(3)", letmein, `bcrypt$$2b$04$abcdefghijklmnopqrstuuanVo7Xut1CH8VGIGlz1JovQh9GJbbtG`},
	{"bcrypt of crypt_blowfish's tests", "U*U*U", `bcrypt$$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a`},
	{"scrypt of Django's tests", letmein, `scrypt$16384$seasalt$8$5$ECMIUp+LMxMSK8xB/IVyba+KYGTI7FTnet025q/1f/vBAVnnP3hdYqJuRi+mJn6ji6ze3Fbb7JEFPKGpuEf5vw==`},
	{"scrypt of Django 4.0's tests", letmein, `scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==`},
	{"scrypt by hashlib", letmein, `scrypt$1024$seasalt$8$1$+qO2jTkVUbPNlniTkHY96ldSJKs4U0WQif8UbWlfO3wJDNhKOg+pPtDckiT6Zw0qkEvKIQ1MdONfGxsWrpoiNg==`},
}

func TestEveryFormatOfDjangoIsChecked(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			if ok, weak, err := Default.Verify(v.encoded, v.password); !ok || !weak || err != nil {
				t.Errorf("the password: ok %t, weak %t, %v", ok, weak, err)
			}
			if ok, weak, err := Default.Verify(v.encoded, v.password+"z"); ok || weak || err != nil {
				t.Errorf("another: ok %t, weak %t, %v", ok, weak, err)
			}
			if !Known(v.encoded) {
				t.Error("its algorithm is unknown")
			}
		})
	}
}

func TestOldAlgorithmsAreUnknown(t *testing.T) {
	for _, encoded := range []string{"", "!", "argon2", "md5$salt$x", "sha1$salt$x", "md5$$x", "0123456789abcdef0123456789abcdef", "$argon2$x"} {
		if Known(encoded) {
			t.Errorf("%q is known", encoded)
		}
	}
}

func TestNoPasswordMatchesAnUnusableHash(t *testing.T) {
	for _, encoded := range []string{"", "!", Unusable(), "!QVIiNKI7UHNq8wQZLo9dpqnMaTQC1c3EtgTNA5Y6", "!argon2$argon2id$v=19$m=8,t=1,p=1$YQ$YQ"} {
		if Usable(encoded) {
			t.Errorf("%q is usable", encoded)
		}
		for _, pass := range []string{"", encoded} {
			if ok, weak, err := quick.Verify(encoded, pass); ok || weak || !errors.Is(err, ErrUnknownFormat) {
				t.Errorf("%q: ok %t, weak %t, %v", encoded, ok, weak, err)
			}
		}
	}
	if one, other := Unusable(), Unusable(); len(one) != 41 || one == other {
		t.Errorf("%q, %q: not Django's", one, other)
	}
}

// hostile are stored hashes that Verify has to refuse without their work.
var hostile = func() map[string]error {
	const (
		salt   = "c2FsdHNhbHRzYWx0c2FsdA"
		raw    = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		blow   = "$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
		argon2 = "argon2$argon2id$v=19$"
		tail   = "$" + salt + "$" + raw
	)
	return map[string]error{
		argon2 + "m=4294967295,t=1,p=1" + tail:                            ErrCost,
		argon2 + "m=8,t=4294967295,p=1" + tail:                            ErrCost,
		argon2 + "m=8,t=99999999999999999999,p=1" + tail:                  ErrCost,
		argon2 + "m=262144,t=64,p=1" + tail:                               ErrCost,
		argon2 + "m=19456,t=2,p=255" + tail:                               ErrCost,
		argon2 + "m=8,t=1,p=0" + tail:                                     ErrUnknownFormat,
		argon2 + "m=8,t=0,p=1" + tail:                                     ErrUnknownFormat,
		argon2 + "m=7,t=1,p=1" + tail:                                     ErrUnknownFormat,
		argon2 + "m=8,t=1,p=-1" + tail:                                    ErrUnknownFormat,
		argon2 + "m=8,t=1,p=1x" + tail:                                    ErrUnknownFormat,
		argon2 + "m=8,t=1" + tail:                                         ErrUnknownFormat,
		argon2 + "t=1,m=8,p=1" + tail:                                     ErrUnknownFormat,
		argon2 + "m=8,t=1,p=1$" + salt + "$":                              ErrUnknownFormat,
		argon2 + "m=8,t=1,p=1$" + salt + "$AAAA":                          ErrUnknownFormat,
		argon2 + "m=8,t=1,p=1$" + salt + "$" + strings.Repeat("AAAA", 50): ErrUnknownFormat,
		argon2 + "m=8,t=1,p=1$?$" + raw:                                   ErrUnknownFormat,
		argon2 + "m=8,t=1,p=1" + tail + "$":                               ErrUnknownFormat,
		"argon2$argon2d$v=19$m=8,t=1,p=1" + tail:                          ErrUnknownFormat,
		"argon2$argon2id$v=16$m=8,t=1,p=1" + tail:                         ErrUnknownFormat,
		"argon2$argon2i$m=8,t=1,p=1" + tail:                               ErrUnknownFormat,
		"pbkdf2_sha256$2000000000$salt$" + raw + "=":                      ErrCost,
		"pbkdf2_sha256$99999999999999999999$salt$" + raw + "=":            ErrCost,
		"pbkdf2_sha256$-1$salt$" + raw + "=":                              ErrUnknownFormat,
		"pbkdf2_sha256$0$salt$" + raw + "=":                               ErrUnknownFormat,
		"pbkdf2_sha256$1$salt$":                                           ErrUnknownFormat,
		"pbkdf2_sha256$1$sa$lt$" + raw + "=":                              ErrUnknownFormat,
		"pbkdf2_sha1$1$salt$" + raw + "=":                                 ErrUnknownFormat,
		"bcrypt$$2b$31" + blow:                                            ErrCost,
		"bcrypt_sha256$$2b$16" + blow:                                     ErrCost,
		"bcrypt$$2b$99" + blow:                                            ErrUnknownFormat,
		"bcrypt$$2b$04" + blow + "y":                                      ErrUnknownFormat,
		"bcrypt$$2b$04$":                                                  ErrUnknownFormat,
		"bcrypt$":                                                         ErrUnknownFormat,
		"scrypt$1073741824$salt$8$1$" + raw + "=":                         ErrCost,
		"scrypt$18446744073709551616$salt$8$1$" + raw + "=":               ErrUnknownFormat,
		"scrypt$9223372036854775808$salt$8$1$" + raw + "=":                ErrCost,
		"scrypt$2$salt$1048576$1$" + raw + "=":                            ErrCost,
		"scrypt$2$salt$1$1048576$" + raw + "=":                            ErrCost,
		"scrypt$262144$salt$8$16$" + raw + "=":                            ErrCost,
		"scrypt$1000$salt$8$1$" + raw + "=":                               ErrUnknownFormat,
		"scrypt$1$salt$8$1$" + raw + "=":                                  ErrUnknownFormat,
		"scrypt$1024$salt$0$1$" + raw + "=":                               ErrUnknownFormat,
		"scrypt$1024$salt$8$1$AAAA":                                       ErrUnknownFormat,
		"md5$salt$" + raw:                                                 ErrUnknownFormat,
		"sha1$salt$" + raw:                                                ErrUnknownFormat,
		"88a434c88cca4e900f7874cd98123f43":                                ErrUnknownFormat,
		"plain":                                                           ErrUnknownFormat,
		"argon2":                                                          ErrUnknownFormat,
		"$":                                                               ErrUnknownFormat,
		"pbkdf2_sha256$1$" + strings.Repeat("s", 1024) + "$" + raw + "=":  ErrUnknownFormat,
	}
}()

func TestAHostileHashIsRefusedWithoutItsWork(t *testing.T) {
	for encoded, want := range hostile {
		if ok, weak, err := Default.Verify(encoded, "x"); ok || weak || !errors.Is(err, want) {
			t.Errorf("%.60s: ok %t, weak %t, %v, want %v", encoded, ok, weak, err, want)
		}
	}
}

func TestAnErrorHoldsNothingOfTheHash(t *testing.T) {
	for encoded := range hostile {
		_, _, err := Default.Verify(encoded, "x")
		if err != ErrUnknownFormat && err != ErrCost {
			t.Errorf("%.60s: %v", encoded, err)
		}
	}
}

// slow is far more than the two seconds that the bounds allow, for machines
// that have other things to do.
const slow = 30 * time.Second

func FuzzVerify(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.encoded, v.password)
	}
	for encoded := range hostile {
		f.Add(encoded, "x")
	}
	f.Fuzz(func(t *testing.T, encoded, pass string) {
		start := time.Now()
		ok, weak, err := quick.Verify(encoded, pass)
		if took := time.Since(start); took > slow {
			t.Errorf("took %v", took)
		}
		if weak && !ok || ok && (err != nil || !Usable(encoded)) {
			t.Errorf("ok %t, weak %t, %v", ok, weak, err)
		}
		if err != nil && err != ErrUnknownFormat && err != ErrCost {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}

// BenchmarkVerify compares the formats with the parameters of Django 6.0.
func BenchmarkVerify(b *testing.B) {
	raw := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for name, encoded := range map[string]string{
		"argon2":        "argon2$argon2id$v=19$m=102400,t=2,p=8$" + strings.TrimRight(raw(22)+"$"+raw(32), "="),
		"pbkdf2_sha256": "pbkdf2_sha256$1200000$seasalt$" + raw(32),
		"bcrypt_sha256": "bcrypt_sha256$$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"scrypt":        "scrypt$16384$seasalt$8$5$" + raw(64),
	} {
		encoded = strings.ReplaceAll(encoded, "==$", "$")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Default.Verify(encoded, "secret"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestWeakParametersAreThoseBelowOWASPs(t *testing.T) {
	for _, strong := range []Argon2id{Default, {47104, 1, 1}, {12288, 3, 1}, {9216, 4, 1}, {7168, 5, 1}, {102400, 2, 8}} {
		if strong.Weak() {
			t.Errorf("%+v is weak", strong)
		}
	}
	for _, weak := range []Argon2id{quick, {19, 2, 1}, {19456, 1, 1}, {7168, 4, 1}, {4096, 64, 1}} {
		if !weak.Weak() {
			t.Errorf("%+v isn't weak", weak)
		}
	}
}

func TestANewHashIsGoodForItsPasswordOnly(t *testing.T) {
	for _, pass := range []string{"secret", "", "pass\x00word", strings.Repeat("long", 1000), "zółw😀"} {
		encoded, err := quick.Hash(pass)
		if err != nil {
			t.Fatal(err)
		}
		if ok, weak, err := quick.Verify(encoded, pass); !ok || weak || err != nil {
			t.Errorf("%.10q: ok %t, weak %t, %v", pass, ok, weak, err)
		}
		for _, other := range []string{pass + "x", pass + "\x00", pass + " "} {
			if ok, _, _ := quick.Verify(encoded, other); ok {
				t.Errorf("%.10q: another password is taken", pass)
			}
		}
	}
}

// djangoArgon2 is what Django's Argon2PasswordHasher writes, with a salt of
// text.
var djangoArgon2 = regexp.MustCompile(`^argon2\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{35}\$[A-Za-z0-9+/]{43}$`)

func TestANewHashIsWrittenAsDjangoWritesIt(t *testing.T) {
	one, err := Default.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	if !djangoArgon2.MatchString(one) {
		t.Errorf("%q is not Django's encoding", one)
	}
	if longest := len(one) - len("19456"+"2"+"1") + len("262144"+"64"+"32"); longest > 128 {
		t.Errorf("%d characters don't fit Django's column", longest)
	}
	if two, _ := Default.Hash("secret"); one == two {
		t.Error("two hashes have one salt")
	}
}

func TestAHashIsWeakerThatCostsLessThanTheSetting(t *testing.T) {
	encoded, err := Argon2id{Memory: 32, Iterations: 2, Parallelism: 2}.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		want Argon2id
		weak bool
	}{
		{Argon2id{32, 2, 2}, false},
		{Argon2id{16, 1, 1}, false}, // it costs more
		{Argon2id{32, 2, 1}, false}, // lanes share the cost
		{Argon2id{33, 2, 2}, true},
		{Argon2id{32, 3, 2}, true},
		{Argon2id{64, 1, 1}, true},
	} {
		if ok, weak, err := test.want.Verify(encoded, "secret"); !ok || weak != test.weak || err != nil {
			t.Errorf("%v: ok %t, weak %t, %v", test.want, ok, weak, err)
		}
		if _, weak, _ := test.want.Verify(encoded, "wrong"); weak {
			t.Errorf("%v: weak for the wrong password", test.want)
		}
	}
}

func TestParametersOutOfBoundsAreRefused(t *testing.T) {
	for _, a := range []Argon2id{Default, quick, {maxMemory, 8, 1}, {19456, maxIterations, 1}, {8 * maxParallelism, 1, maxParallelism}} {
		if err := a.Validate(); err != nil {
			t.Errorf("%v: %v", a, err)
		}
	}
	for word, a := range map[string]Argon2id{
		"parallelism of":   {},
		"must be from 1":   {19456, 2, maxParallelism + 1},
		"iterations of":    {19456, 0, 1},
		"memory first":     {19456, maxIterations + 1, 1},
		"from 8 KiB":       {7, 1, 1},
		"from 32 KiB":      {31, 1, 4},
		"to 262144 KiB":    {maxMemory + 1, 1, 1},
		"times iterations": {maxMemory, 9, 1},
	} {
		err := a.Validate()
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v: %v, want it to say %q", a, err, word)
		}
		if encoded, err := a.Hash("secret"); encoded != "" || err == nil {
			t.Errorf("%v makes %q, %v", a, encoded, err)
		}
		a.Dummy("secret") // doesn't panic
	}
}

func BenchmarkHash(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Default.Hash("secret"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDummy should take as long as BenchmarkHash.
func BenchmarkDummy(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Default.Dummy("secret")
	}
}
