// Package file picks up messages from folders of this machine and puts
// deliveries into them.
package file

import (
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/folder"
)

// Kind is the kind of connector named file.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "file", Destination: DefaultDestination}
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
		Name: "{id}.{ext}", Temp: ".tmp", Exists: existsError, Connections: 1, Timeout: 30 * time.Second,
	}
}

// Words of options.
const (
	existsError   = "error"
	existsReplace = "replace"
)

// Validate checks the words of the options.
func (o *DestinationOptions) Validate() []connectors.Problem {
	return append(checkFolder("folder", o.Folder),
		folder.ValidatePut(o.Name, o.Temp, o.Exists, o.Connections, o.Timeout)...)
}

// Limits bound its sends.
func (o *DestinationOptions) Limits() connectors.SendLimits {
	return connectors.SendLimits{Connections: o.Connections, Timeout: o.Timeout}
}

// checkFolder checks the name of a folder.
func checkFolder(field, name string) []connectors.Problem {
	switch {
	case name == "":
		return []connectors.Problem{{Field: field, Text: "is missing: the folder"}}
	case control.MatchString(name):
		return []connectors.Problem{{Field: field, Text: fmt.Sprintf("%q has a control character in it", name)}}
	}
	return nil
}

var control = regexp.MustCompile(`[\x00-\x1f\x7f]`)

// inFolder is the path of a folder of the options.
func inFolder(base, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(base, name)
}
