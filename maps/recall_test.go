package maps_test

import "sort"

// recall is the part of the wanted facts and counts that got has. Each wanted
// instance is matched with one of its type, the most alike first. None is taken
// twice unless shared: converters that do not join what has one identity list
// it as often as it stands.
func recall(want, got portable, shared bool) (found, all int, missing []string) {
	type pair struct{ want, got, both int }
	var pairs []pair
	gotFacts := make([]map[fact]bool, len(got.Instances))
	for i, g := range got.Instances {
		gotFacts[i] = map[fact]bool{}
		for _, f := range g.Facts {
			gotFacts[i][f] = true
		}
	}
	for i, w := range want.Instances {
		all += len(w.Facts)
		for j, g := range got.Instances {
			if g.Type != w.Type {
				continue
			}
			both := 0
			for _, f := range w.Facts {
				if gotFacts[j][f] {
					both++
				}
			}
			if both > 0 {
				pairs = append(pairs, pair{i, j, both})
			}
		}
	}
	sort.SliceStable(pairs, func(a, b int) bool {
		if pairs[a].both != pairs[b].both {
			return pairs[a].both > pairs[b].both
		}
		// Of equals, the one that leaves less behind.
		return len(want.Instances[pairs[a].want].Facts) < len(want.Instances[pairs[b].want].Facts)
	})
	partner := map[int]int{}
	taken := map[int]bool{}
	for _, p := range pairs {
		if _, ok := partner[p.want]; !ok && (shared || !taken[p.got]) {
			partner[p.want], taken[p.got] = p.got, true
			found += p.both
		}
	}
	for i, w := range want.Instances {
		j, ok := partner[i]
		for _, f := range w.Facts {
			if !ok || !gotFacts[j][f] {
				missing = append(missing, w.Type+" "+f[0]+"="+f[1])
			}
		}
	}
	for typ, n := range want.Counts {
		all++
		if got.Counts[typ] == n {
			found++
		} else {
			missing = append(missing, "count "+typ)
		}
	}
	return found, all, missing
}
