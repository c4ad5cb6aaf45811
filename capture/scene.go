package capture

import (
	"context"
	"errors"
)

func openScene(ctx context.Context, c Config) (*Camera, error) {
	return nil, errors.New("no scene yet")
}
