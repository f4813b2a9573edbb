package partner

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Word is what is answered to one message.
type Word string

// The words besides the codes AA, AE, AR, CA, CE and CR, which are answered
// as they stand.
const (
	Accept       Word = "accept"        // taken, in the mode the message asks for: AA, CA, or nothing
	Never        Word = "never"         // nothing; the connection stays open
	HangUp       Word = "hang-up"       // nothing; the connection is closed
	WrongControl Word = "wrong-control" // AA for another control id
	HalfClose    Word = "half-close"    // nothing more is said, but read
	Garbage      Word = "garbage"       // bytes that are no frame
	HalfFrame    Word = "half-frame"    // the first half of an AA, then the connection is closed
	Huge         Word = "huge"          // an AA of 100 MB
	Late         Word = "late"          // AA after the time of Behaviour.Late, when others come at once
)

// Words lists the words that are known.
func Words() []Word {
	return []Word{Accept, "AA", "AE", "AR", "CA", "CE", "CR", Never, HangUp, WrongControl, HalfClose, Garbage, HalfFrame, Huge, Late}
}

// A Behaviour is what a partner answers. Its zero value accepts.
type Behaviour struct {
	// Answer is what is answered to every message. Empty: Accept.
	Answer Word
	// Mix is what is answered to a share of the messages, between 0 and 1, in
	// place of Answer.
	Mix map[Word]float64
	// Late is how long an answer is held back: that of the word Late if Mix
	// or Answer has it, else every one.
	Late time.Duration
	// Code is the code of table 0357 that a negative answer gives. 0: none,
	// the answer has no ERR.
	Code int
	// Filler, if it is not empty, makes the answer to an order one that gives
	// it a filler number: this and nine digits.
	Filler string
}

// Check says what is wrong with a behaviour.
func (b Behaviour) Check() error {
	words := slices.Collect(maps.Keys(b.Mix))
	if b.Answer != "" {
		words = append(words, b.Answer)
	}
	sum := 0.0
	for _, w := range words {
		if !slices.Contains(Words(), w) {
			return fmt.Errorf("%q is not known; known: %s", w, wordList())
		}
		if w == Late && b.Late <= 0 {
			return fmt.Errorf("%q wants to know how late", w)
		}
	}
	for w, share := range b.Mix {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("%s=%g is not between 0 and 1", w, share)
		}
		sum += share
	}
	switch {
	case sum > 1+1e-9:
		return fmt.Errorf("the shares are %g together, more than 1", sum)
	case b.Late < 0:
		return fmt.Errorf("%s is below 0", b.Late)
	case b.Code != 0 && (b.Code < 100 || b.Code > 999):
		return fmt.Errorf("%d is no code of table 0357, such as 207", b.Code)
	}
	return nil
}

func wordList() string {
	var out []string
	for _, w := range Words() {
		out = append(out, string(w))
	}
	return strings.Join(out, ", ")
}

// draw chooses the word for one message.
func (b Behaviour) draw(dice *rand.Rand) Word {
	word := b.Answer
	if word == "" {
		word = Accept
	}
	if len(b.Mix) == 0 {
		return word
	}
	at := dice.Float64()
	for _, w := range slices.Sorted(maps.Keys(b.Mix)) {
		if at -= b.Mix[w]; at < 0 {
			return w
		}
	}
	return word
}

// held is how long the answer w is held back.
func (b Behaviour) held(w Word) time.Duration {
	_, mixed := b.Mix[Late]
	if w != Late && (mixed || b.Answer == Late) {
		return 0
	}
	return b.Late
}

// ParseMix reads shares as they stand on a command line: AE=0.1,never=0.05.
func ParseMix(text string) (map[Word]float64, error) {
	if text == "" {
		return nil, nil
	}
	mix := map[Word]float64{}
	for part := range strings.SplitSeq(text, ",") {
		word, share, found := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseFloat(share, 64)
		if !found || err != nil {
			return nil, fmt.Errorf("%q is not WORD=SHARE, such as AE=0.1", part)
		}
		if _, twice := mix[Word(word)]; twice {
			return nil, fmt.Errorf("%q stands there twice", word)
		}
		mix[Word(word)] = n
	}
	return mix, Behaviour{Mix: mix, Late: 1}.Check()
}
