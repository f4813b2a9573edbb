package message

import "slices"

// State is where a journaled message stands.
//
//	           ┌─► refused                     header unusable; negative answer
//	received ──┤
//	           └─► stored ──T2──► done         effects, deliveries and this state in one transaction
//	                 ▲   ├──T2──► filtered     with the name of the filter
//	                 │   ├──T2──► refused      require … else: refuse; nothing positive was said yet
//	                 │   └──T2──► parked       require, no route, mapping error, poison
//	                 └────T6────────┘          reprocess: run = run + 1
//	stored / parked ──T6 drop (who, why)──► dropped
type State string

// The states of a message.
const (
	Stored   State = "stored"
	Refused  State = "refused"
	Done     State = "done"
	Filtered State = "filtered"
	Parked   State = "parked"
	Dropped  State = "dropped"
)

// States lists every state, in the order of a message's life.
func States() []State { return []State{Stored, Done, Filtered, Parked, Refused, Dropped} }

// Known reports whether s is one of the states.
func (s State) Known() bool {
	switch s {
	case Stored, Refused, Done, Filtered, Parked, Dropped:
		return true
	}
	return false
}

// DeliveryState is where a delivery stands.
//
//	      T2          T3 claim            T4 answer
//	none ────► waiting ──────► sending ─┬──────────► delivered
//	            ▲  ▲                    ├─► waiting    retry
//	            │  └──── T5 takeover ───┤
//	            └─────── T6 retry ──────┼── parked
//	                                    └─► diverted   a delivery of the failure route is made in T4
//	waiting / parked ──T6 drop (who, why)──► dropped
type DeliveryState string

// The states of a delivery.
const (
	Waiting         DeliveryState = "waiting"
	Sending         DeliveryState = "sending"
	Delivered       DeliveryState = "delivered"
	ParkedDelivery  DeliveryState = "parked"
	Diverted        DeliveryState = "diverted"
	DroppedDelivery DeliveryState = "dropped"
)

// DeliveryStates lists every state, in the order of a delivery's life.
func DeliveryStates() []DeliveryState {
	return []DeliveryState{Waiting, Sending, Delivered, ParkedDelivery, Diverted, DroppedDelivery}
}

// Known reports whether s is one of the states.
func (s DeliveryState) Known() bool { return slices.Contains(DeliveryStates(), s) }
