package capture

import (
	"context"
	"errors"
)

func openV4L2(ctx context.Context, c Config) (*Camera, error) {
	return nil, errors.New("camera.source: v4l2 is not there yet")
}
