// Package file picks up messages from folders of this machine and puts
// deliveries into them.
package file

import (
	"context"
	"path/filepath"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/folder"
)

// Kind is the kind of connector named file.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "file", Source: DefaultSource, Destination: DefaultDestination}
}

// SourceOptions are the options of a folder that files are picked up from.
type SourceOptions struct {
	// Folder the files arrive in; a relative one starts at the folder of
	// routes.yaml. It must be there.
	Folder string `yaml:"folder"`
	// Pattern of the names to be picked up: * stands for anything, ? for one
	// character. Default *. Names that begin with a dot, and names that end in
	// .tmp, .part, .partial, .filepart, .crdownload or ~, are never picked up.
	Match string `yaml:"match"`
	// How long size and time of a file must have stayed the same, seen by us,
	// before it is picked up. Default 5s; 0s only with done.
	Stable time.Duration `yaml:"stable"`
	// How the sender says that a file is whole: a marker such as "*.ok" (a
	// file a.hl7 is picked up when a.hl7.ok or a.ok is there, which is then
	// removed), or the word rename when it writes under another name that
	// match does not take and renames the file at the end. Default: by stable alone.
	Done string `yaml:"done"`
	// Time between two looks into the folder. Default 1s.
	Every time.Duration `yaml:"every"`
	// What becomes of a file whose messages are all recorded: move (the
	// default), delete, or keep (it stays; what was recorded already is
	// recognised by its content after a restart).
	Then string `yaml:"then"`
	// Folder for files that were taken, on the same disk. Default done, in
	// folder; it is made where it lies in folder.
	To string `yaml:"to"`
	// Folder for files that were not taken, each with the reason beside it, on
	// the same disk. Default error, in folder; it is made where it lies in folder.
	Errors string `yaml:"errors"`
	// Order in which files are handed over, one after the other: time (the
	// default, oldest first) or name.
	Order string `yaml:"order"`
}

var _ connectors.SourceOptions = (*SourceOptions)(nil)

// DefaultSource returns the options that hold where routes.yaml is silent.
func DefaultSource() connectors.SourceOptions {
	return &SourceOptions{
		Match: "*", Stable: 5 * time.Second, Every: time.Second,
		Then: folder.ThenMove, To: "done", Errors: "error", Order: "time",
	}
}

// pickup are the options that all sources of files have.
func (o *SourceOptions) pickup() folder.PickupOptions {
	return folder.PickupOptions{Match: o.Match, Done: o.Done, Then: o.Then, Order: o.Order, Stable: o.Stable, Every: o.Every}
}

// Validate checks the words of the options.
func (o *SourceOptions) Validate() []connectors.Problem {
	problems := append(folder.CheckName("folder", o.Folder), o.pickup().Validate()...)
	for _, shelf := range []struct{ field, name string }{{"to", o.To}, {"errors", o.Errors}} {
		problems = append(problems, folder.CheckName(shelf.field, shelf.name)...)
		if o.Folder != "" && shelf.name != "" && inFolder(inFolder("", o.Folder), shelf.name) == inFolder("", o.Folder) {
			problems = append(problems, connectors.Problem{Field: shelf.field, Text: "is the folder itself; files would come again"})
		}
	}
	return problems
}

// Open makes the source. It looks at nothing before Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	path := inFolder(env.Folder, o.Folder)
	p := o.pickup().Pickup(env, o.Folder)
	p.Connect = func(context.Context, context.Context) (folder.Place, error) {
		return openInbox(path, inFolder(path, o.To), inFolder(path, o.Errors), o.Then != folder.ThenKeep)
	}
	return p, nil
}

// DestinationOptions are the options of a folder that deliveries are put into.
type DestinationOptions struct {
	// Folder the files are put into; a relative one starts at the folder of
	// routes.yaml. It must be there: it is never made.
	Folder string `yaml:"folder"`
	// Name of each file: text with {id} (the delivery's id), {control} (the
	// control id of what is sent), {date} (the day it was made, as 20260131),
	// {part} (its number among the parts of one message, from 0) and {ext}
	// (hl7, x12, json, xml or txt, by the first bytes). Default {id}.{ext}.
	// Without {id} or {control} two deliveries may have one name: the second
	// is refused unless its bytes are the same.
	Name string `yaml:"name"`
	// Ending of the name that a file has until every byte is on disk; it is
	// then renamed. Default .tmp.
	Temp string `yaml:"temp"`
	// What to do when another file of that name is there: error (the default)
	// refuses the delivery, replace writes over it.
	Exists string `yaml:"exists"`
	// How many files are written at once. Default 1, at most 64.
	Connections int `yaml:"connections"`
	// How long writing one file may take. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
}

var _ connectors.DestinationOptions = (*DestinationOptions)(nil)

// DefaultDestination returns the options that hold where routes.yaml is silent.
func DefaultDestination() connectors.DestinationOptions {
	return &DestinationOptions{
		Name: "{id}.{ext}", Temp: ".tmp", Exists: folder.ExistsError, Connections: 1, Timeout: 30 * time.Second,
	}
}

// Validate checks the words of the options.
func (o *DestinationOptions) Validate() []connectors.Problem {
	return append(folder.CheckName("folder", o.Folder),
		folder.ValidatePut(o.Name, o.Temp, o.Exists, o.Connections, o.Timeout)...)
}

// Limits bound its sends.
func (o *DestinationOptions) Limits() connectors.SendLimits {
	return connectors.SendLimits{Connections: o.Connections, Timeout: o.Timeout}
}

// inFolder is the path of a folder of the options.
func inFolder(base, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(base, name)
}
