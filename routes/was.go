package routes

// renames checks that nothing takes its earlier name from something that has it
// now: which of the two the stored work belongs to could not be told.
func (l *loader) renames() {
	was := map[string]string{}
	for _, c := range l.config.Channels {
		switch {
		case c.Was == "" || c.Was == c.Name:
		case l.config.Channel(c.Was) != nil:
			l.report(c.Place, "channel "+c.Name+": was: "+c.Was+" is the name of another channel; take was: away once the rename is done, and rename in two steps where names change places")
		case was[c.Was] != "":
			l.report(c.Place, "channel "+c.Name+": was: "+c.Was+" is said by channel "+was[c.Was]+" too")
		default:
			was[c.Was] = c.Name
		}
		l.renamedRoutes(c)
	}
}

func (l *loader) renamedRoutes(c *Channel) {
	names, was := map[string]bool{}, map[string]string{}
	for _, r := range c.Routes {
		names[r.Name] = true
	}
	for _, r := range c.Routes {
		at := "channel " + c.Name + ": route " + r.Name + ": was: " + r.Was
		switch {
		case r.Was == "":
		case r.Was == r.Name:
			l.report(r.Place, at+" is the name it has now")
		case names[r.Was]:
			l.report(r.Place, at+" is the name of another route; take was: away once the rename is done, and rename in two steps where names change places")
		case was[r.Was] != "":
			l.report(r.Place, at+" is said by route "+was[r.Was]+" too")
		default:
			was[r.Was] = r.Name
		}
	}
}
