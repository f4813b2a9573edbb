package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// A change is one flag of edit; they are made in the order in which they stand.
type change struct{ does, what string }

// A changeFlag notes changes of one sort among all others.
type changeFlag struct {
	does string
	to   *[]change
}

func (f changeFlag) String() string { return "" }

// Type is what help calls the value.
func (f changeFlag) Type() string {
	if f.does == "delete" {
		return "PATH"
	}
	return map[string]string{"set": "PATH=TEXT", "insert": "PATH=SEGMENT", "move": "PATH=PATH"}[f.does]
}

// Set notes one.
func (f changeFlag) Set(what string) error {
	if _, _, both := cut(what); !both && f.does != "delete" {
		return fmt.Errorf("%s is wanted", f.Type())
	}
	*f.to = append(*f.to, change{f.does, what})
	return nil
}

// cut splits at the first equals sign that does not stand in brackets: PID-3[5=MR].1=7.
func cut(what string) (path, rest string, found bool) {
	depth := 0
	for i, c := range what {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == '=' && depth <= 0:
			return what[:i], what[i+1:], true
		}
	}
	return what, "", false
}

func editCommand(a *app) *cobra.Command {
	var changes []change
	cmd := &cobra.Command{
		Use:   "edit FILE",
		Short: "Change HL7 v2 messages by paths and print them",
		Long: "Change every message of an HL7 v2 file by paths and print the messages, without frames or\n" +
			"envelopes. Changes are made in the order in which they are given. What is not touched stays\n" +
			"as it is, byte for byte; text is escaped, and written in the character set of its message.\n" +
			"The file itself stays as it is.",
		Example: "  engine edit adt.hl7 --set 'PID-3[5=MR].1=1234' --delete 'PID-19' --insert 'NK1=NK1|1|DOE^JANE'",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			messages, err := messagesOf(files[0])
			if err != nil {
				return &exit{code: exitUsage, err: fmt.Errorf("%s: %w", files[0], err)}
			}
			if len(changes) == 0 {
				return &exit{code: exitUsage, err: errors.New("no change is asked for: --set, --delete, --insert or --move")}
			}
			for i, m := range messages {
				out, err := edited(m, changes)
				if err != nil {
					return &exit{code: exitFailed, err: fmt.Errorf("message %d: %w", i+1, err)}
				}
				if _, err := a.stdout.Write(out); err != nil {
					return &exit{code: exitFailed, err: err}
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.Var(changeFlag{"set", &changes}, "set", "write text to a place, or to every place of a path with [*]; segments in place of a segment or group")
	f.Var(changeFlag{"delete", &changes}, "delete", "take segments, groups or a repetition away, empty a field or component")
	f.Var(changeFlag{"insert", &changes}, "insert", "put a segment before a segment or group, a repetition before another")
	f.Var(changeFlag{"move", &changes}, "move", "take a segment, group or value to another place")
	return cmd
}

// edited is a message with all changes made.
func edited(m *hl7v2.Message, changes []change) ([]byte, error) {
	e := hl7v2.Edit(m)
	for _, c := range changes {
		path, rest, _ := cut(c.what)
		var err error
		switch c.does {
		case "set":
			if p, wrong := (hl7v2.Grammar{}).Compile(path); wrong == nil && p.Kind() == message.Places {
				err = asGiven(e, path, rest, e.Replace)
				break
			}
			err = e.Set(path, rest)
		case "delete":
			err = e.Delete(c.what)
		case "insert":
			err = asGiven(e, path, rest, e.Insert)
		case "move":
			err = e.Move(path, rest)
		}
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", c.does, err)
		}
	}
	return e.Bytes(), nil
}

// asGiven hands on the segments or the repetition of a flag, in the character set
// of the message.
func asGiven(e *hl7v2.Editor, path, text string, take func(string, []byte) error) error {
	raw, err := e.Encode(strings.ReplaceAll(text, "\n", "\r"))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return take(path, raw)
}
