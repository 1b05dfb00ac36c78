package throttle

import "net/netip"

// Subnet is a network that requests of a client count for. Wider networks are allowed
// more, since they have more clients.
type Subnet struct {
	Network string
	times   int // factor for the rate of one client
}

// Networks returns the networks of a client's address, the narrowest first. Most
// sites have an IPv6 /56 or /48, so that a limit on /64 alone is none; IPv4 is rented
// by the /24.
func Networks(address string) []Subnet {
	a, ok := clientAddr(address)
	switch {
	case !ok:
		return []Subnet{{"", 1}}
	case a.Is4():
		return []Subnet{{a.String(), 1}, {masked(a, 24), 8}}
	}
	return []Subnet{{masked(a, 64), 1}, {masked(a, 56), 4}, {masked(a, 48), 16}}
}

// Rates multiplies the rates of one client for the network.
func (s Subnet) Rates(of []Rate) []Rate {
	if s.times == 1 {
		return of
	}
	wider := make([]Rate, len(of))
	for i, r := range of {
		wider[i] = Rate{min(r.Times*s.times, maxTimes/2), r.Per}
	}
	return wider
}

// Network returns the network of one client: an IPv4 address, or an IPv6 /64. All
// clients without an address, such as those of a Unix socket, are one.
func Network(address string) string { return Networks(address)[0].Network }

// Neighbourhood returns the widest network of a client.
func Neighbourhood(address string) string {
	all := Networks(address)
	return all[len(all)-1].Network
}

// clientAddr parses an address. It returns the IPv4 address of one that embeds it.
func clientAddr(address string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return a, false
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a, true
	}
	b := a.As16()
	switch {
	case nat64.Contains(a): // RFC 6052
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a): // RFC 3056
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case teredo.Contains(a): // RFC 4380, which inverts the bits
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	}
	return a, true
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
	teredo    = netip.MustParsePrefix("2001::/32")
)

func masked(a netip.Addr, bits int) string { return netip.PrefixFrom(a, bits).Masked().String() }

// Source returns the wide network of a client that requests mails, by which mails take
// turns.
func Source(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap()
	bits := 24
	if ip.Is6() {
		bits = 48
	}
	network, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return network.String()
}
