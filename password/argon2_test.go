package password

import (
	"regexp"
	"strings"
	"testing"
)

func TestANewHashIsGoodForItsPasswordOnly(t *testing.T) {
	for _, pass := range []string{"secret", "", "pass\x00word", strings.Repeat("long", 1000), "zółw😀"} {
		encoded, err := quick.Hash(pass)
		if err != nil {
			t.Fatal(err)
		}
		if ok, weaker, err := quick.Verify(encoded, pass); !ok || weaker || err != nil {
			t.Errorf("%.10q: ok %t, weaker %t, %v", pass, ok, weaker, err)
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
		want   Argon2id
		weaker bool
	}{
		{Argon2id{32, 2, 2}, false},
		{Argon2id{16, 1, 1}, false}, // it costs more
		{Argon2id{32, 2, 1}, false}, // lanes share the cost
		{Argon2id{33, 2, 2}, true},
		{Argon2id{32, 3, 2}, true},
		{Argon2id{64, 1, 1}, true},
	} {
		if ok, weaker, err := test.want.Verify(encoded, "secret"); !ok || weaker != test.weaker || err != nil {
			t.Errorf("%v: ok %t, weaker %t, %v", test.want, ok, weaker, err)
		}
		if _, weaker, _ := test.want.Verify(encoded, "wrong"); weaker {
			t.Errorf("%v: weaker for the wrong password", test.want)
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
