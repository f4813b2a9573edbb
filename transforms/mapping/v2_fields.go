package mapping

import (
	"slices"
	"strconv"
	"strings"
)

// fieldCounts are the segments that maps write most, with the number of their
// fields in HL7 v2.5.1 and those of them that repeat (chapters 2 to 7). Of
// other segments a row may write any field.
const fieldCounts = `
MSH 21 18 21
NTE 4 3
PID 39 3 4 5 6 9 10 11 13 14 21 22 26 32 39
PD1 21 1 3 4 10 14 15
NK1 39 2 4 5 6 13 18 19 26 28 29 30 31 32 33 35
PV1 52 7 8 9 15 17 20 24 25 26 27 52
PV2 49 5 7 13 43 44 45
IN1 53 3 4 5 6 7 9 10 11 16 19 30 44 49
IN2 72 1 3 7 19 21 22 23 27 30 38 40 41 50 52 53 58 59 60 63 65 66 69 72
GT1 57 2 3 4 5 6 7 11 15 16 17 18 19 29 37 38 45 46 47 54 55 56
AL1 6 5
ORC 31 7 10 11 12 14 19 21 22 23 24
OBR 50 10 16 17 27 28 31 33 34 35 38 39 43 45 46 47
TQ1 14 3 4 9
TQ2 10 3 4 5
OBX 25 5 8 10 16 17 18
DG1 21 16
SPM 29 3 5 6 9 11 14 15 16 21 23 24
SAC 44 35
CTD 7 1 2 5 7
CTI 3
BLG 3
MSA 6
ERR 12 2 6 9 10 11
EVN 7 5
MRG 7 1 2 7
`

// A fieldSet is what is known of the fields of a segment.
type fieldSet struct {
	count   int
	repeats []int
}

// v2Fields reads fieldCounts.
func v2Fields() map[string]fieldSet {
	out := map[string]fieldSet{}
	for line := range strings.Lines(fieldCounts) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		var set fieldSet
		for i, word := range words[1:] {
			n, err := strconv.Atoi(word)
			if err != nil {
				panic("fieldCounts: " + line) // a test reads the table
			}
			if i == 0 {
				set.count = n
			} else {
				set.repeats = append(set.repeats, n)
			}
		}
		out[words[0]] = set
	}
	return out
}

// checkField holds a target to the fields of its segment.
func (c *v2Compiler) checkField(segment string, t *v2Target, at place) bool {
	if own, declared := c.lib.segments[segment]; declared {
		if len(own.fields) > 0 && own.fields[int(t.field)] == "" {
			c.wrong(at, "%s: segment %s declares no field %d", t.path, segment, t.field)
			return false
		}
		return true
	}
	set, known := c.fields[segment]
	limit := 150
	if known {
		limit = set.count
	}
	switch {
	case int(t.field) > limit:
		c.wrong(at, "%s: %s has no field %d", t.path, segment, t.field)
		return false
	case known && t.newRep && !slices.Contains(set.repeats, int(t.field)):
		c.wrong(at, "%s: %s-%d is single; write it without [+]", t.path, segment, t.field)
		return false
	}
	return true
}
