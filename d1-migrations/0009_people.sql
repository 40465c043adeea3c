CREATE TABLE `email_sessions` (
	`sid` text PRIMARY KEY NOT NULL,
	`purpose` text NOT NULL,
	`address` text NOT NULL,
	`client_secret_hash` text NOT NULL,
	`send_attempt` integer NOT NULL,
	`token_hash` text,
	`next_link` text,
	`letters_sent` integer NOT NULL,
	`validated_at` integer,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `email_sessions_token_hash_unique` ON `email_sessions` (`token_hash`);--> statement-breakpoint
CREATE UNIQUE INDEX `email_sessions_by_attempt` ON `email_sessions` (`purpose`,`address`,`client_secret_hash`);--> statement-breakpoint
CREATE INDEX `email_sessions_by_address` ON `email_sessions` (`address`);--> statement-breakpoint
CREATE INDEX `email_sessions_by_expiry` ON `email_sessions` (`expires_at`);--> statement-breakpoint
CREATE TABLE `threepids` (
	`medium` text NOT NULL,
	`address` text NOT NULL,
	`user_id` text NOT NULL,
	`validated_at` integer NOT NULL,
	`added_at` integer NOT NULL,
	PRIMARY KEY(`medium`, `address`),
	FOREIGN KEY (`user_id`) REFERENCES `users`(`user_id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `threepids_by_user` ON `threepids` (`user_id`);--> statement-breakpoint
ALTER TABLE `interactive_auth_sessions` ADD `email_session` text;--> statement-breakpoint
ALTER TABLE `users` ADD `is_locked` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `users` ADD `is_suspended` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `users` ADD `accepted_terms` text;
