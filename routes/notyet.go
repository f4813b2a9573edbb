package routes

// notYet lists what the language has and this version of the engine does not
// run: keys as "channel.key" or "route.key", words of a key as
// "channel.key: word". Each is refused, never ignored. What the engine learns
// is taken off here.
var notYet = map[string]bool{
	"channel.check.drug-safety": true,
	"channel.check.claim-edits": true,
}
