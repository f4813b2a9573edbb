package channels

import (
	"context"
	"fmt"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// numberTime bounds the writing of a number: the peer has not been told anything
// yet, or has said its last word.
const numberTime = 10 * time.Second

// transmit sends a delivery. Where the receiver counts, the number that it gets is
// committed before a byte of it leaves, and one whose answer is not known is sent
// under the number it had, or not at all if the receiver has counted that.
func (d *dispatch) transmit(ctx context.Context, del *message.Delivery) (message.Reply, error) {
	return d.r.within(ctx, del, func(ctx context.Context, to connectors.Destination) (message.Reply, error) {
		counter, counts := to.(connectors.Counter)
		numbers, keeps := d.lease.(store.Numbers)
		if !counts || !keeps || !counter.Counts() {
			return to.Send(ctx, del)
		}
		var had int64
		if del.MaybeSent {
			var err error
			if had, err = numbers.Numbered(ctx, del.N); err != nil {
				return message.Reply{}, &message.Failure{Kind: message.Down, Err: fmt.Errorf("its number is not known: %w", err)}
			}
		}
		return counter.SendCounted(ctx, del, had, func(ctx context.Context, number int64) error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), numberTime)
			defer cancel()
			return numbers.Number(ctx, del.N, number)
		})
	})
}
