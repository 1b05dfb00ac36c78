package account

import (
	"slices"
	"testing"
)

func TestAddressesAreCountedInTheirNetworks(t *testing.T) {
	for address, want := range map[string][]string{
		"192.0.2.7":                       {"192.0.2.7", "192.0.2.0/24"},
		"::ffff:192.0.2.7":                {"192.0.2.7", "192.0.2.0/24"},
		"64:ff9b::192.0.2.7":              {"192.0.2.7", "192.0.2.0/24"},
		"2002:c000:207:1::9":              {"192.0.2.7", "192.0.2.0/24"}, // 6to4
		"2001:0:102:304:0:ffff:3fff:fdf8": {"192.0.2.7", "192.0.2.0/24"}, // Teredo
		"2001:db8:1:2345:1:2:3:4":         {"2001:db8:1:2345::/64", "2001:db8:1:2300::/56", "2001:db8:1::/48"},
		"fe80::1%eth0":                    {"fe80::/64", "fe80::/56", "fe80::/48"},
		"":                                {""},
		"@":                               {""},
	} {
		var got []string
		for _, s := range networksOf(address) {
			got = append(got, s.network)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q is counted in %q, want %q", address, got, want)
		}
	}
}
