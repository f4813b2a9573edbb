package file

import (
	"context"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/folder"
	"github.com/plexus-health/plexus/message"
)

// A Destination puts deliveries into one folder.
type Destination struct {
	path    string
	timeout time.Duration
	put     folder.Put

	open func(path string) (target, error) // for tests: a folder with faults
}

// A target is an opened folder.
type target interface {
	folder.Target
	Close() error
}

var _ connectors.Destination = (*Destination)(nil)

// Open makes the destination. The folder is opened by each send, so that one
// that was taken away and put back is found again.
func (o *DestinationOptions) Open(env connectors.Environment) (connectors.Destination, error) {
	template, _ := folder.ParseTemplate(o.Name) // Validate reported what is wrong with it
	return &Destination{
		path: inFolder(env.Folder, o.Folder), timeout: o.Timeout,
		put:  folder.Put{Template: template, Temp: o.Temp, Replace: o.Exists == folder.ExistsReplace, Step: "file", Now: env.WithDefaults().Now},
		open: func(path string) (target, error) { return openPlace(path) },
	}, nil
}

// Send puts the payload into the folder.
func (d *Destination) Send(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	if d.timeout > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, d.timeout)
		defer done()
	}
	t, err := d.open(d.path)
	if err != nil {
		kind := message.Down
		if folder.Full(err) {
			kind = message.Busy
		}
		return message.Reply{}, &message.Failure{Kind: kind, Where: "folder", Err: folder.Reason(err)}
	}
	err = d.put.Send(ctx, t, delivery)
	_ = t.Close() // nothing was written through it that is not synced
	if err != nil {
		return message.Reply{}, err
	}
	return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
}

// Close ends the destination, which holds nothing between sends.
func (d *Destination) Close() error { return nil }
