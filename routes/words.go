package routes

// valueSort is the kind of value a word of the file takes.
type valueSort int

const (
	aText valueSort = iota
	aName           // lower-case words joined by -
	aBoolean
	aWhole  // a number without a unit
	aFactor // a number that may have a point
	aDuration
	aSize
	aRate
	aZone
	aClock     // 02:00
	aChoice    // one of shape.choices
	aCondition // an expression that gives true or false
	aValue     // an expression that gives a text
	aPath      // a path to a segment, group or loop
	aFile      // a file name
	aList      // of shape.of
	aMapping   // with shape.words
	anOpen     // a mapping of any names to shape.of
	aKind      // a mapping with one key: a kind of part, and its options
	aParser    // a word of parse:, alone or with its options
	anything   // checked elsewhere
)

// A shape says what a value has to look like.
type shape struct {
	sort    valueSort
	choices []string
	of      *shape
	words   []word
	ref     string // where the JSON Schema defines it, for what is checked elsewhere
	called  string // what problems call it, where the sort does not say enough
	// or are further shapes that the value may have instead.
	or []shape
}

// A word is one key of the file: the one place that knows of it. The checker,
// the JSON Schema and the reference page are made from these.
type word struct {
	name     string
	shape    shape
	def      string // the default, as the reference page says it
	required bool
	text     string
}

func elsewhere(ref string) shape        { return shape{sort: anything, ref: ref} }
func is(s valueSort) shape              { return shape{sort: s} }
func oneOf(choices ...string) shape     { return shape{sort: aChoice, choices: choices} }
func listOf(s shape) shape              { return shape{sort: aList, of: &s} }
func openOf(s shape) shape              { return shape{sort: anOpen, of: &s} }
func with(words ...word) shape          { return shape{sort: aMapping, words: words} }
func (s shape) orElse(o ...shape) shape { s.or = append(s.or, o...); return s }

// step is one step of `map:`.
func step() shape {
	return is(aText).orElse(with(
		word{name: "use", shape: is(aText), required: true, text: "Name of a map, or a file."},
		word{name: "with", shape: listOf(is(aFile)), text: "Files that override single rows of the map, in their order."},
		word{name: "tables", shape: openOf(is(aText)), text: "Tables put in place of those the map names: a table's name or a file for each."},
		word{name: "set", shape: openOf(is(aText)), text: "Parameters of the map."},
	))
}

// steps is the value of `map:`.
func steps() shape {
	s := step()
	s.or = append(s.or, listOf(step()))
	s.called = "a map, a file, or a list of steps"
	return s
}

// parameters is the value of `with:` beside a template, and of a row of `for:`.
func parameters() shape { return openOf(is(aText)) }

// topWords are the keys of the file itself.
func topWords() []word {
	return []word{
		{name: "zone", shape: is(aZone), text: "Time zone for times without an offset, an IANA name such as America/New_York. Every channel whose map reads times needs one, here or of its own."},
		{name: "include", shape: is(aFile).orElse(listOf(is(aFile))), text: "Further files, or patterns such as sites/*.yaml, relative to this one. Their lists are joined to those of this file; a name defined twice is an error."},
		{name: "variables", shape: openOf(is(aText)), text: "Texts that ${name} stands for. env/NAME.yaml (--env NAME) and PLEXUS_VAR_NAME of the process win over these."},
		{name: "defaults", shape: with(
			word{name: "channel", shape: elsewhere("channel-defaults"), text: "Values of keys that a channel does not say."},
			word{name: "route", shape: elsewhere("route-defaults"), text: "Values of keys that a route does not say."},
		), text: "Values for keys that channels and routes do not say; a value is taken whole, retry class by class."},
		{name: "templates", shape: openOf(with(
			word{name: "params", shape: openOf(is(aText)), text: "The parameters and their kinds: text, port, file; text = \"utf-8\" gives a default."},
			word{name: "channels", shape: elsewhere("entries"), required: true, text: "The channels, with ${parameter} where they differ."},
		)), text: "Channels with parameters, for sites with many alike."},
		{name: "tables", shape: openOf(is(aFile)), text: "Code tables of the site: a name and its file for each, CSV or YAML."},
		{name: "channels", shape: listOf(elsewhere("entry")), text: "The channels. An entry is a channel, or { use: template, with: {…} }, or { use: template, for: rows.csv }."},
	}
}

// useWords are the keys of an entry of channels that uses a template.
func useWords() []word {
	return []word{
		{name: "use", shape: is(aText), required: true, text: "Name of the template."},
		{name: "with", shape: parameters(), text: "The parameters."},
		{name: "for", shape: is(aFile).orElse(listOf(parameters())), text: "One channel for each row: a CSV file whose columns are the parameters, or a list."},
	}
}

// channelWords are the keys of a channel.
func channelWords() []word {
	return []word{
		{name: "name", shape: is(aName), required: true, text: "Lower-case words joined by -; unique over all files. State and queues belong to it."},
		{name: "was", shape: is(aName), text: "The name it had before: its messages, deliveries and pauses go with it. Renaming without it is refused while the old name has work."},
		{name: "title", shape: is(aText), text: "What people call it, for the console."},
		{name: "note", shape: is(aText), text: "Anything people should know, for the console."},
		{name: "enabled", shape: is(aBoolean), def: "true", text: "Whether it receives."},
		{name: "source", shape: shape{sort: aKind, ref: "source"}, required: true, text: "Where messages come from: one kind of source and its options."},
		{name: "parse", shape: is(aParser), required: true, text: "The format, alone or with its options: {hl7v2: {charset: windows-1252}}. It says how paths are written in all expressions of the channel."},
		{name: "ack", shape: oneOf(string(AckStored), string(AckProcessed), string(AckDelivered)), def: "stored", text: "What a positive answer to the sender claims: stored (it is safe here), processed (its effects are written), delivered."},
		{name: "acknowledge", shape: is(aName), def: "on the connection of the message", text: "The channel, with source: { channel: {} }, that gets the application acknowledgement of each message whose sender asks for one (HL7 v2, enhanced mode) and sends it over another connection. Needs ack: stored."},
		{name: "reply", shape: with(
			word{name: "from", shape: is(aName), required: true, text: "The route whose answer the sender gets."},
			word{name: "within", shape: is(aDuration), required: true, text: "How long to wait for it."},
			word{name: "else", shape: oneOf("busy").orElse(with(word{name: "map", shape: steps(), required: true, text: "Steps that make the answer."})), def: "busy", text: "What the sender is told when it does not come."},
		), text: "The sender gets the answer of a route, in real time; implies ack: delivered."},
		{name: "zone", shape: is(aZone), def: "the file's", text: "Time zone for times without an offset."},
		{name: "filter", shape: is(aCondition), def: "every message", text: "Messages for which it is false are not for this channel: answered positively, kept as filtered, with the reason."},
		{name: "require", shape: listOf(with(
			word{name: "that", shape: is(aCondition), required: true, text: "What has to hold."},
			word{name: "else", shape: oneOf(string(ElsePark), string(ElseRefuse)), def: "park", text: "What becomes of a message for which it does not: park keeps it for people; refuse answers negatively and needs ack: processed."},
			word{name: "say", shape: is(aText), def: "the condition", text: "The reason people read."},
		)), text: "What a message of this channel has to fulfil; checked after filter."},
		{name: "key", shape: is(aValue), text: "Messages of one key are processed one after the other, instead of order."},
		{name: "order", shape: oneOf(string(OrderPatient), string(OrderChannel), string(OrderNone)), def: "patient", text: "Which messages wait for each other: those of one patient, all of the channel, none. key in place of it: those of one value of an expression."},
		{name: "split", shape: oneOf("none").orElse(is(aPath)), def: "none", text: "Path of a group or loop: one message becomes several, the header goes with each."},
		{name: "map", shape: steps(), text: "Steps that change the message, one after the other: names of maps, files, or {use: name, with: [override files], tables: {a: b}, set: {parameter: value}}."},
		{name: "check", shape: listOf(with(checkWords()...)), text: "Rules for what goes out, asked after require; a message they hold or block parks before anything of it leaves."},
		{name: "deliver", shape: oneOf(string(DeliverAll), string(DeliverFirst)), def: "all", text: "Every route whose when holds, or only the first."},
		{name: "unrouted", shape: oneOf(string(UnroutedPark), string(UnroutedFilter)), def: "park", text: "What becomes of a message no route took."},
		{name: "on_error", shape: oneOf(string(OnErrorPark), string(OnErrorStop)), def: "park", text: "After a fault of mapping or of an expression the message parks; with stop later ones of its key wait for it."},
		{name: "duplicates", shape: oneOf(string(DuplicatesAnswer), string(DuplicatesNew), string(DuplicatesRefuse)), def: "answer", text: "A retransmission is answered as before, taken again (new), or answered as before while the same control id with other content is refused (refuse)."},
		{name: "limits", shape: with(
			word{name: "size", shape: is(aSize), def: "8MB", text: "The largest message: bytes with KB, MB or GB."},
			word{name: "rate", shape: is(aRate), def: "none", text: "The most messages in a time, such as 50/s: so many at once, and from then on so many in each time. Whoever sends faster is answered later, nobody is refused."},
			word{name: "connections", shape: is(aWhole), def: "100", text: "The most connections at once."},
		), text: "What the channel takes at most."},
		{name: "keep", shape: is(aDuration), def: "90d", text: "How long the bytes, what was sent of them and the trace stay readable after everything about them ended. The row, and what copies are known by, stay."},
		{name: "routes", shape: listOf(elsewhere("route")), required: true, text: "Where messages go."},
	}
}

// classes are the classes of a failed send.
var classes = []string{"down", "unknown", "busy", "refused", "unreadable"}

func retryWords() []word {
	then := oneOf("park", "stop")
	after := oneOf("retry", "park", "stop").orElse(with(
		word{name: "first", shape: is(aDuration), def: "1s", text: "The first pause."},
		word{name: "max", shape: is(aDuration), def: "5m", text: "The longest pause."},
		word{name: "factor", shape: is(aFactor), def: "2", text: "How much longer each pause is than the one before."},
		word{name: "attempts", shape: oneOf("none").orElse(is(aWhole)), def: "none", text: "Sends before it gives up."},
		word{name: "for", shape: oneOf("none").orElse(is(aDuration)), def: "7d", text: "Time before it gives up."},
		word{name: "then", shape: then, def: "park", text: "What follows then."},
		word{name: "next", shape: with(word{name: "route", shape: is(aName), required: true, text: "The route."}), text: "Alone: another route takes over."},
	))
	texts := []string{
		"No connection, no byte left.", "Bytes were written, the answer is not known.", "The peer says try again.",
		"The peer will never take it.", "The answer cannot be read.",
	}
	defaults := []string{"retry", "retry", "retry", "park", "park"}
	words := make([]word, len(classes))
	for i := range classes {
		words[i] = word{name: classes[i], shape: after, def: defaults[i], text: texts[i]}
	}
	return words
}

// routeWords are the keys of a route.
func routeWords() []word {
	return []word{
		{name: "name", shape: is(aName), def: "the kind of to", text: "Unique in the channel."},
		{name: "was", shape: is(aName), text: "The name it had before: its deliveries go with it. Renaming without it is refused while some are open or parked."},
		{name: "when", shape: is(aCondition), def: "every message", text: "Which messages it takes."},
		{name: "otherwise", shape: is(aBoolean), def: "false", text: "It takes what no other route of the channel took; instead of when."},
		{name: "each", shape: is(aPath), text: "Path of a group or loop: one delivery for each; when is asked of each."},
		{name: "map", shape: oneOf("original").orElse(steps()), text: "Steps after the channel's; original: the bytes as received instead."},
		{name: "to", shape: shape{sort: aKind, ref: "to"}, required: true, text: "Where to: one kind of destination and its options. ehr and drop are part of the message's own transaction and never queued."},
		{name: "order", shape: oneOf(string(OrderPatient), string(OrderChannel), string(OrderNone)), def: "the channel's", text: "Which deliveries wait for each other. key in place of it: those of one value of an expression."},
		{name: "key", shape: is(aValue), text: "Deliveries of one key go one after the other, instead of order."},
		{name: "strict", shape: is(aBoolean), def: "false", text: "A failure holds the whole route."},
		{name: "retry", shape: with(retryWords()...), def: "down, unknown, busy: retry; refused, unreadable: park", text: "What follows a failed send, by class: retry, park, stop, {next: {route: name}}, or {first: 1s, max: 5m, factor: 2, attempts: none, for: 7d, then: park}."},
		{name: "batch", shape: with(
			word{name: "every", shape: is(aDuration), text: "A file is closed when its first delivery has waited so long."},
			word{name: "max", shape: is(aWhole), def: "10000", text: "Messages in one file at most; it is closed when there are so many. A file has 16 MB at most."},
			word{name: "at", shape: is(aClock), text: "Time of day at which a file is closed, such as \"02:00\"."},
			word{name: "by", shape: is(aValue), text: "One file for each value."},
		), text: "Several deliveries in one file."},
		{name: "answer", shape: with(
			word{name: "map", shape: steps(), text: "Steps the answer goes through."},
			word{name: "to", shape: is(aName), required: true, text: "The channel it becomes a message of, or worklist."},
			word{name: "when", shape: is(aCondition), text: "Which answers."},
		), def: "kept", text: "What becomes of the peer's answer."},
		{name: "hours", shape: with(word{name: "open", shape: is(aText), required: true, text: "Days and times, such as \"Mon-Fri 06:00-22:00\"."}), def: "always", text: "Deliveries wait outside these."},
		{name: "alert", shape: with(
			word{name: "waiting", shape: is(aDuration), text: "The oldest delivery waits this long."},
			word{name: "depth", shape: is(aWhole), text: "This many deliveries wait."},
			word{name: "parked", shape: is(aWhole), def: "1", text: "This many are parked."},
		), text: "When people are told."},
		{name: "retired", shape: is(aBoolean), def: "false", text: "Takes no new deliveries, drains the old."},
	}
}

func names(words []word) []string {
	list := make([]string, len(words))
	for i := range words {
		list[i] = words[i].name
	}
	return list
}
