CREATE TABLE `known_rooms` (
	`room_id` text PRIMARY KEY NOT NULL,
	`added_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `known_rooms_by_age` ON `known_rooms` (`added_at`);