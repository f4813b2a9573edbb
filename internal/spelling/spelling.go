// Package spelling finds the word that was probably meant by one that nobody
// knows, for whoever reads what a person wrote.
package spelling

import "strings"

// Nearest is the known word with the fewest letters to be changed, added or
// dropped, capitals apart; among several the first in the order of the alphabet.
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

// distance is the number of bytes to be changed, added or dropped (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
