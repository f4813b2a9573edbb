// Package spelling finds the word that was probably meant by one that nobody
// knows, for whoever reads what a person wrote.
package spelling

import (
	"strconv"
	"strings"
)

// Unknown says that a word is none of the known ones, which those are, and which
// was probably meant.
func Unknown(word string, known ...string) string {
	return strconv.Quote(word) + " is not known" + Known(word, known)
}

// Known lists the known words behind what is said of another, with the one that
// was probably meant.
func Known(word string, known []string) string {
	text := "; known: " + strings.Join(known, ", ")
	if found := Nearest(word, known); found != "" {
		text += "; did you mean " + strconv.Quote(found) + "?"
	}
	return text
}

// Nearest is the known word with the fewest letters to be changed, added,
// dropped or exchanged with the next, capitals apart; among several the first in the order of the alphabet.
// It is empty when even the nearest is another word: one letter in a word of
// two may be wrong, two in one of five, and three in longer ones.
func Nearest(word string, known []string) string {
	best, found := min(1+(len(word)+1)/3, 4), ""
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k))
		if d < best || d == best && found != "" && k < found {
			best, found = d, k
		}
	}
	return found
}

// distance is the number of bytes to be changed, added, dropped or exchanged
// with the next (Levenshtein, with exchanges as in optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			changed := last[j]
			if a[i] != b[j] {
				changed++
			}
			row[j+1] = min(changed, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
