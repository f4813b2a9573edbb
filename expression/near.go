package expression

import (
	"strconv"

	"github.com/plexus-health/plexus/internal/spelling"
)

// near says which of the known words was probably meant, or nothing.
func near(word string, known []string) string {
	if found := spelling.Nearest(word, known); found != "" {
		return ", did you mean " + strconv.Quote(found) + "?"
	}
	return ""
}
