package account

import "net/netip"

// subnet is a part of the address space that one client may have. Wider ones may
// ask more often, since more clients are in them.
type subnet struct {
	network string
	times   int // how many times a rate of one client is allowed
}

// networksOf are the networks that a client's address is counted in, the client's
// own first. Most sites have an IPv6 /56 or /48, so that a /64 alone bounds
// nobody; IPv4 is rented by the /24.
func networksOf(address string) []subnet {
	a, ok := clientAddr(address)
	switch {
	case !ok:
		return []subnet{{"", 1}}
	case a.Is4():
		return []subnet{{a.String(), 1}, {masked(a, 24), 8}}
	}
	return []subnet{{masked(a, 64), 1}, {masked(a, 56), 4}, {masked(a, 48), 16}}
}

// rates are those of one client as they are for the network.
func (s subnet) rates(of []Rate) []Rate {
	if s.times == 1 {
		return of
	}
	wider := make([]Rate, len(of))
	for i, r := range of {
		wider[i] = Rate{min(r.Times*s.times, maxTimes/2), r.Per}
	}
	return wider
}

// network is what one client has of the address space: an IPv4 address, or the
// /64 that an IPv6 network has at least. Clients without an address, such as
// those of a Unix socket, are one.
func network(address string) string { return networksOf(address)[0].network }

// neighbourhood is the widest network that a client is counted in.
func neighbourhood(address string) string {
	all := networksOf(address)
	return all[len(all)-1].network
}

// clientAddr reads an address. One that holds an IPv4 address is that: whoever
// has it has them all.
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

// Source is the network of a client that asks for mails: wide, since it
// only decides whose mails wait for whose.
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
