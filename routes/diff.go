package routes

// A Difference is what changed between two configurations, as names of
// channels in the order of their files.
type Difference struct {
	Added, Removed, Changed []string
}

// Diff compares the channels of two configurations by their hashes. A channel
// that moved within the file, or got another title, has not changed.
func Diff(old, next *Config) Difference {
	var d Difference
	before := map[string]string{}
	for _, c := range old.Channels {
		before[c.Name] = c.Hash
	}
	stays := map[string]bool{}
	for _, c := range next.Channels {
		hash, known := before[c.Name]
		stays[c.Name] = true
		switch {
		case !known:
			d.Added = append(d.Added, c.Name)
		case hash != c.Hash:
			d.Changed = append(d.Changed, c.Name)
		}
	}
	for _, c := range old.Channels {
		if !stays[c.Name] {
			d.Removed = append(d.Removed, c.Name)
		}
	}
	return d
}
