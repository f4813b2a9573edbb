package expression

import (
	"strconv"
	"strings"
)

// near says which of the known words was probably meant, or nothing.
func near(word string, known []string) string {
	best, found := 1+(len(word)+1)/3, ""
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < best {
			best, found = d, k
		}
	}
	if found == "" {
		return ""
	}
	return ", did you mean " + strconv.Quote(found) + "?"
}

// distance is the number of letters to change, add or drop.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0]++
		for j := range len(b) {
			next := min(row[j+1], row[j]) + 1
			if a[i] == b[j] {
				next = min(next, last)
			} else {
				next = min(next, last+1)
			}
			last, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
