package sqlite

import (
	"context"
	"strconv"
)

// The writer's page cache. Whenever SQLite has put the pages of a tree in order
// it has given one of them, for a moment, the number of the page at 1 GB, and in
// a smaller database the commit then goes over every page of the cache: with
// 64 MB of them that took a tenth of all time. So the cache is small as long as
// the database is.
const (
	smallCache    = 16 << 10 // kB
	largeCache    = 64 << 10
	largeDatabase = 1 << 30 // bytes of the database
)

// fit gives the writer's connection the cache that the size of the database
// calls for, from so many bytes on the large one.
func (w *writer) fit(ctx context.Context, from int64) error {
	var size int64
	if err := w.conn.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`).Scan(&size); err != nil {
		return err
	}
	cache := smallCache
	if size >= from {
		cache = largeCache
	}
	if cache == w.cache {
		return nil
	}
	if _, err := w.conn.ExecContext(ctx, `PRAGMA cache_size = -`+strconv.Itoa(cache)); err != nil {
		return err
	}
	w.cache = cache
	return nil
}
