CREATE TABLE `public_rooms` (
	`room_id` text PRIMARY KEY NOT NULL,
	`name` text,
	`topic` text,
	`canonical_alias` text,
	`avatar_url` text,
	`joined_members` integer NOT NULL,
	`join_rule` text,
	`room_type` text,
	`world_readable` integer NOT NULL,
	`guest_can_join` integer NOT NULL,
	`search_text` text NOT NULL,
	`checked_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `public_rooms_by_check` ON `public_rooms` (`checked_at`);--> statement-breakpoint
CREATE TABLE `reports` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`reporter` text NOT NULL,
	`room_id` text,
	`event_id` text,
	`user_id` text,
	`reason` text NOT NULL,
	`received_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `reports_by_time` ON `reports` (`received_at`);--> statement-breakpoint
CREATE TABLE `room_aliases` (
	`alias` text PRIMARY KEY NOT NULL,
	`room_id` text NOT NULL,
	`creator` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `room_aliases_by_room` ON `room_aliases` (`room_id`);