package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/console"
)

// queueCommand is what an operator does about what is to be sent.
func queueCommand(a *app) *cobra.Command {
	j := &journal{app: a}
	cmd := &cobra.Command{Use: "queue", Short: "List, show, pause, resume, retry, park, move and drop what is to be sent"}
	j.flags(cmd)
	cmd.AddCommand(j.queueListCommand(), j.queueShowCommand(),
		j.holdCommand("pause", "Hold a route, or the processing of a channel"),
		j.holdCommand("resume", "Let a route or channel go on that was paused or has stopped"),
		j.deliveryCommand("retry", "Send parked deliveries again, at the end of their keys; waiting ones at once", true, true),
		j.deliveryCommand("park", "Put waiting deliveries aside; younger ones of their keys go on", false, false),
		j.deliveryCommand("move", "Send deliveries by another route", true, true),
		j.deliveryCommand("drop", "Give up deliveries, with a name and a reason", true, false))
	return cmd
}

func (j *journal) queueListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [CHANNEL/ROUTE]", Short: "List the routes with what waits, and why", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows := []console.Queue{}
			if len(args) == 0 {
				if err := j.ask(cmd.Context(), http.MethodGet, "/api/queues", nil, &rows); err != nil {
					return err
				}
			} else {
				path, err := queuePath(args[0])
				if err != nil {
					return err
				}
				var page console.QueuePage
				if err := j.ask(cmd.Context(), http.MethodGet, path+"?limit=1", nil, &page); err != nil {
					return err
				}
				rows = append(rows, page.Queue)
			}
			if j.json {
				return j.print(rows)
			}
			return j.table(rows)
		},
	}
}

// queuePath is the path of a route in the API.
func queuePath(unit string) (string, error) {
	channel, route, ok := strings.Cut(unit, "/")
	if !ok || channel == "" || route == "" || strings.Contains(route, "/") {
		return "", &exit{code: exitUsage, err: fmt.Errorf("%q is no route: write CHANNEL/ROUTE", unit)}
	}
	return "/api/queues/" + url.PathEscape(channel) + "/" + url.PathEscape(route), nil
}

func (j *journal) table(rows []console.Queue) error {
	w := tabwriter.NewWriter(j.app.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ROUTE\tNOW\tWAITING\tSENDING\tDELIVERED\tPARKED\tDIVERTED\tDROPPED\tOLDEST\tNEXT TRY\tLAST REASON\tHELD")
	for i := range rows {
		q := &rows[i]
		next := at(q.Next)
		if q.Open() == 0 || q.Held != "" {
			next = "-"
		} else if !q.Until.IsZero() && q.Until.After(q.Next) {
			next = at(q.Until) // the route's next probe
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", q.Unit, q.Now, q.Waiting, q.Sending, q.Delivered, q.Parked,
			q.Diverted, q.Dropped, at(q.Oldest), next, orDash(printable(q.Reason)), orDash(printable(q.Held)))
	}
	return w.Flush()
}

// at is a time as tables show it.
func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (j *journal) queueShowCommand() *cobra.Command {
	var state string
	var limit int
	var after int64
	var payload, answer bool
	cmd := &cobra.Command{
		Use: "show CHANNEL/ROUTE|DELIVERY", Short: "Show a route with its deliveries, or one delivery with its bytes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(args[0], "/") {
				if cmd.Flags().Changed("state") || cmd.Flags().Changed("limit") || cmd.Flags().Changed("after") {
					return &exit{code: exitUsage, err: errors.New("--state, --limit and --after select deliveries of a route: name CHANNEL/ROUTE")}
				}
				return j.showDelivery(cmd, args[0], payload, answer)
			}
			if payload || answer {
				return &exit{code: exitUsage, err: errors.New("--payload and --answer are of one delivery: name its ID")}
			}
			path, err := queuePath(args[0])
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}, "after": {strconv.FormatInt(after, 10)}}
			if state != "" {
				q.Set("state", state)
			}
			var page console.QueuePage
			if err := j.ask(cmd.Context(), http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
				return err
			}
			if j.json {
				return j.print(page)
			}
			if err := j.table([]console.Queue{page.Queue}); err != nil {
				return err
			}
			fmt.Fprintln(j.app.stdout)
			return j.listDeliveries(page.Deliveries, false)
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "only in this state: waiting, sending, delivered, parked, diverted, dropped")
	f.IntVar(&limit, "limit", 100, "at most so many")
	f.Int64Var(&after, "after", 0, "only those after this number (n of --json)")
	f.BoolVar(&payload, "payload", false, "write the bytes of a delivery to the output")
	f.BoolVar(&answer, "answer", false, "write the peer's last answer to a delivery to the output")
	cmd.MarkFlagsMutuallyExclusive("payload", "answer")
	return cmd
}

// listDeliveries prints a table of deliveries.
func (j *journal) listDeliveries(rows []console.Delivery, withRoute bool) error {
	w := tabwriter.NewWriter(j.app.stdout, 0, 8, 2, ' ', 0)
	first, second := "DELIVERY", "MESSAGE"
	if withRoute {
		second = "ROUTE"
	}
	fmt.Fprintf(w, "%s\t%s\tSTATE\tATTEMPTS\tDUE\tCLASS\tMARKS\tREASON\n", first, second)
	for i := range rows {
		d := &rows[i]
		where := d.Message
		if withRoute {
			where = d.Channel + "/" + d.Route
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", d.ID, where, d.State, d.Attempts, at(d.Due), orDash(string(d.Class)), marks(d), orDash(printable(d.Reason)))
	}
	return w.Flush()
}

// marks are what the state of a delivery does not say.
func marks(d *console.Delivery) string {
	var out []string
	if d.MaybeSent {
		out = append(out, "maybe sent")
	}
	if d.Late {
		out = append(out, "late")
	}
	return orDash(strings.Join(out, ", "))
}

func (j *journal) showDelivery(cmd *cobra.Command, id string, payload, answer bool) error {
	path := "/api/deliveries/" + url.PathEscape(id)
	switch {
	case payload:
		return j.ask(cmd.Context(), http.MethodGet, path+"/payload", nil, j.app.stdout)
	case answer:
		return j.ask(cmd.Context(), http.MethodGet, path+"/answer", nil, j.app.stdout)
	}
	var d console.Delivery
	if err := j.ask(cmd.Context(), http.MethodGet, path, nil, &d); err != nil {
		return err
	}
	if j.json {
		return j.print(d)
	}
	w := tabwriter.NewWriter(j.app.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "delivery\t%s\nmessage\t%s\nroute\t%s/%s\nrun, part\t%d, %d\nstate\t%s\nmarks\t%s\nclass\t%s\nreason\t%s\nattempts\t%d\ndue\t%s\nstarted\t%s\nanswered\t%s\ncontrol\t%s\n",
		d.ID, d.Message, d.Channel, d.Route, d.Run, d.Part, d.State, marks(&d), orDash(string(d.Class)), orDash(printable(d.Reason)),
		d.Attempts, at(d.Due), at(d.Started), at(d.Answered), orDash(printable(d.Control)))
	return w.Flush()
}

func (j *journal) holdCommand(action, short string) *cobra.Command {
	var d console.Decision
	cmd := &cobra.Command{
		Use: action + " CHANNEL/ROUTE|CHANNEL", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/api/channels/" + url.PathEscape(args[0])
			if strings.Contains(args[0], "/") {
				var err error
				if path, err = queuePath(args[0]); err != nil {
					return err
				}
			}
			var h console.Hold
			if err := j.decide(cmd, path+"/"+action, d, &h); err != nil {
				return err
			}
			if j.json {
				return j.print(h)
			}
			state := "runs"
			if h.Held != "" {
				state = "held: " + printable(h.Held)
			}
			fmt.Fprintf(j.app.stdout, "%s  %s\n", h.Unit, state)
			return nil
		},
	}
	decisionFlags(cmd, &d)
	return cmd
}

// deliveryCommand decides about some deliveries, or about all of a route.
func (j *journal) deliveryCommand(action, short string, ofRoute, late bool) *cobra.Command {
	var d console.Decision
	var all string
	use := action + " DELIVERY..."
	if ofRoute {
		use += " | --all CHANNEL/ROUTE"
	}
	cmd := &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case all != "" && len(args) > 0:
				return &exit{code: exitUsage, err: errors.New("deliveries and --all: one or the other")}
			case all != "":
				return j.decideAll(cmd, action, all, d)
			case len(args) == 0 && ofRoute:
				return &exit{code: exitUsage, err: errors.New("which deliveries? name them, or --all CHANNEL/ROUTE")}
			case len(args) == 0:
				return &exit{code: exitUsage, err: errors.New("which deliveries? name them")}
			}
			for _, id := range args {
				var now console.Delivery
				if err := j.decide(cmd, "/api/deliveries/"+url.PathEscape(id)+"/"+action, d, &now); err != nil {
					return err
				}
				if j.json {
					if err := j.print(now); err != nil {
						return err
					}
					continue
				}
				line := []string{now.ID, string(now.State), now.Channel + "/" + now.Route}
				if m := marks(&now); m != "-" {
					line = append(line, m)
				}
				fmt.Fprintln(j.app.stdout, strings.Join(line, "  "))
			}
			return nil
		},
	}
	decisionFlags(cmd, &d)
	if ofRoute {
		usage := map[string]string{"retry": "every parked delivery of this route, in order, and those that wait for their next attempt", "move": "every delivery of this route that waits or is parked", "drop": "every delivery of this route that waits or is parked"}
		cmd.Flags().StringVar(&all, "all", "", usage[action])
	}
	if late {
		cmd.Flags().BoolVar(&d.Late, "late", false, "send although younger deliveries of the key have arrived")
	}
	if action == "move" {
		cmd.Flags().StringVar(&d.To, "to", "", "the route that sends it from now on: CHANNEL/ROUTE")
		mustRequire(cmd, "to")
	}
	return cmd
}

func (j *journal) decideAll(cmd *cobra.Command, action, unit string, d console.Decision) error {
	path, err := queuePath(unit)
	if err != nil {
		return err
	}
	var r console.Result
	if err := j.decide(cmd, path+"/"+action, d, &r); err != nil {
		return err
	}
	if j.json {
		return j.print(r)
	}
	done := map[string]string{"retry": "to be sent again", "move": "moved to " + d.To, "drop": "dropped"}[action]
	fmt.Fprintf(j.app.stdout, "%d %s; %s: %d waiting, %d sending, %d parked\n", r.Done, done, r.Unit, r.Waiting, r.Sending, r.Parked)
	return nil
}

// decide asks the engine to carry a decision out.
func (j *journal) decide(cmd *cobra.Command, path string, d console.Decision, into any) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return j.ask(cmd.Context(), http.MethodPost, path, body, into)
}

// decisionFlags are who decides, and why.
func decisionFlags(cmd *cobra.Command, d *console.Decision) {
	cmd.Flags().StringVar(&d.Why, "why", "", "the reason; it is kept with the decision")
	cmd.Flags().StringVar(&d.Who, "who", userName(), "who decides")
	mustRequire(cmd, "why")
}

func mustRequire(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err) // a programmer's mistake that every test meets
	}
}
