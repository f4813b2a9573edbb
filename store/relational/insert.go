package relational

import (
	"context"
	"fmt"
	"strings"
)

// An insertion are rows for one table.
type insertion struct {
	// what they are, for an error.
	what string
	into string // INSERT INTO table (columns)
	// types are those of the columns on PostgreSQL, a word each.
	types string
	tail  string
	args  []any
}

// A Statement is one with its arguments.
type Statement struct {
	SQL  string
	Args []any
}

// A Pipe is a Tx that sends several statements in one round trip.
type Pipe interface {
	Pipe(ctx context.Context, list []Statement) error
}

// mostRows bounds the rows of one statement on PostgreSQL, where a column is one
// argument.
const mostRows = 8192

// insertAll inserts rows into several tables.
func insertAll(ctx context.Context, tx Tx, list ...insertion) error {
	if tx.Dialect() == SQLite {
		for i := range list {
			if _, err := list[i].insert(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	}
	var statements []Statement
	for i := range list {
		statements = append(statements, list[i].statements()...)
	}
	if err := run(ctx, tx, statements...); err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	return nil
}

// run runs statements of which none needs what another one finds, in their order.
func run(ctx context.Context, tx Tx, list ...Statement) error {
	if pipe, ok := tx.(Pipe); ok {
		return pipe.Pipe(ctx, list)
	}
	for _, s := range list {
		if _, err := tx.Exec(ctx, s.SQL, s.Args...); err != nil {
			return err
		}
	}
	return nil
}

// insert inserts the rows and returns how many there were that did not stand there.
func (i *insertion) insert(ctx context.Context, tx Tx) (total int64, err error) {
	if tx.Dialect() == SQLite {
		total, err = insert(ctx, tx, i.into, strings.Count(i.types, " ")+1, i.tail, i.args)
	} else {
		for _, s := range i.statements() {
			n, failed := tx.Exec(ctx, s.SQL, s.Args...)
			if total, err = total+n, failed; err != nil {
				break
			}
		}
	}
	if err != nil {
		return total, fmt.Errorf("%s: %w", i.what, err)
	}
	return total, nil
}

// statements are those of the rows on PostgreSQL: the text is the same for any
// number of rows, so that it is prepared once.
func (i *insertion) statements() (out []Statement) {
	types := strings.Fields(i.types)
	text := i.into + ` SELECT * FROM ` + unnested(types) + i.tail
	for from := 0; from < len(i.args); from += mostRows * len(types) {
		part := i.args[from:min(len(i.args), from+mostRows*len(types))]
		out = append(out, Statement{text, columns(part, types)})
	}
	return out
}

// unnested is a table whose columns are arguments.
func unnested(types []string) string {
	return `unnest(?::` + strings.Join(types, `[], ?::`) + `[])`
}

// columns are the columns of rows that stand one after the other.
func columns(args []any, types []string) []any {
	out := make([]any, 0, len(types))
	for k, typ := range types {
		switch typ {
		case "bytea":
			out = append(out, column[[]byte](args[k:], len(types)))
		case "text":
			out = append(out, column[string](args[k:], len(types)))
		default:
			out = append(out, numbers(args[k:], len(types)))
		}
	}
	return out
}

func column[V any](args []any, width int) []V {
	out := make([]V, 0, len(args)/width+1)
	for i := 0; i < len(args); i += width {
		v, _ := args[i].(V)
		out = append(out, v)
	}
	return out
}

// numbers is a column of them; a text is one that has no bounds.
func numbers(args []any, width int) any {
	out := make([]*int64, 0, len(args)/width+1)
	values := make([]int64, 0, len(args)/width+1)
	for i := 0; i < len(args); i += width {
		switch v := args[i].(type) {
		case string:
			return column[string](args, width)
		case int:
			values = append(values, int64(v))
		case int64:
			values = append(values, v)
		default:
			out = append(out, nil)
			continue
		}
		out = append(out, &values[len(values)-1])
	}
	if len(values) == len(out) {
		return values
	}
	return out
}
