package check

import "hash/maphash"

// A link is what a record and an entry of an index say of each other, such as an account of its
// username, and the entry of that username of its account. To look up each link's other end would
// be a read at random.
//
// So links are weighed: each end is hashed, one adds the hash to a bucket, and the other takes it
// away. Where all links are right, the bucket is zero in the end. The seed of the hashes is random,
// so a wrong link leaves it zero once in 2^48 times.
type links struct {
	seed    maphash.Seed
	buckets [1 << 16]uint64
}

// end is an end of a link: what a hash is multiplied with.
type end uint64

const (
	ofRecord end = 1
	ofIndex  end = 1<<64 - 1 // -1
)

func (l *links) add(e end, key, value []byte) {
	bucket, weight := l.weigh(key, value)
	*bucket += uint64(e) * weight
}

// weigh returns the weight of a link, by the key and value of the index, and its bucket.
func (l *links) weigh(key, value []byte) (bucket *uint64, weight uint64) {
	var h maphash.Hash
	h.SetSeed(l.seed)
	h.Write(key)
	h.Write(value)
	weight = h.Sum64()
	return &l.buckets[weight%uint64(len(l.buckets))], weight
}

// balance reports whether all links are right.
func (l *links) balance() bool { return l.buckets == [len(l.buckets)]uint64{} }

// link weighs an end of a link. In the second reading, it looks up the other end if the link may be
// wrong.
func (c *Checker) link(e end, key, value []byte, lookUp func() error) error {
	if !c.again {
		c.links.add(e, key, value)
		return nil
	}
	if bucket, _ := c.links.weigh(key, value); *bucket == 0 {
		return nil
	}
	return lookUp()
}
