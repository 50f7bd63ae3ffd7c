package promoter

import (
	"context"

	"github.com/imgops/imgops/images"
)

// PointerMove is a pointer that is about to move.
type PointerMove struct {
	Role     string
	Location images.Location
	From, To string // recipe digests: of what the pointer names ("" when that is unknown, or nothing), and of what it will name
}

// Moves lists the pointers that the plan moves.
func (p Plan) Moves() []PointerMove {
	var moves []PointerMove
	for _, r := range p.Roles {
		for _, s := range r.Steps {
			if s.Action == ActionPointer {
				moves = append(moves, PointerMove{Role: r.Role, Location: s.Location, From: s.was, To: r.Digest})
			}
		}
	}
	return moves
}

// overtaken asks whether main still lets the pointers of the roles move, by what they name now.
func (a *applier) overtaken(ctx context.Context, open []RolePlan, w *world) (map[string]error, error) {
	if a.opts.Overtaken == nil {
		return nil, nil
	}
	digests := map[string]string{}
	for _, r := range open {
		if r.req.back == nil {
			digests[r.Role] = r.Digest
		}
	}
	var moves []PointerMove
	for _, s := range a.steps {
		if to, ok := digests[s.Role]; ok && s.Action == ActionPointer {
			now := w.pointers[s.Location][s.Role]
			moves = append(moves, PointerMove{Role: s.Role, Location: s.Location, From: w.find(now.Image).Digest, To: to})
		}
	}
	if len(moves) == 0 {
		return nil, nil
	}
	return a.opts.Overtaken(ctx, moves)
}
